"""What a client sees of a network. Source: Nova's API reference, "Networks (os-networks) (DEPRECATED)"."""

import ipaddress
from typing import Self

from renova.api.marked import View
from renova.db.tables import Network


class NetworkView(View):
    """The fields that Nova shows to everybody; there is no IPv6."""

    id: str
    label: str
    cidr: str
    netmask: str
    gateway: str
    broadcast: str
    dns1: str | None = None
    dns2: str | None = None
    cidr_v6: str | None = None
    gateway_v6: str | None = None
    netmask_v6: str | None = None

    @classmethod
    def of(cls, network: Network) -> Self:
        hosts = ipaddress.IPv4Network(network.cidr)
        return cls(
            id=network.id,
            label=network.label,
            cidr=network.cidr,
            netmask=str(hosts.netmask),
            gateway=str(hosts[1]),
            broadcast=str(hosts.broadcast_address),
        )
