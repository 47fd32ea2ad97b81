"""A server's ports as its machine and its guest see them.

The first addresses of a network are never given to a server: the gateway answers on the first, and the
second is what QEMU's user network must be told as its DNS server.
"""

import ipaddress
from collections.abc import Sequence
from typing import Any

from renova.agent.qemu.spec import NetworkCard
from renova.db.tables import Port

GATEWAY, DNS = 1, 2


def network_card(port: Port) -> NetworkCard:
    """The card of a port whose network is loaded."""
    network = ipaddress.ip_network(port.network.cidr)
    return NetworkCard(
        mac=port.mac,
        address=port.address,
        cidr=port.network.cidr,
        gateway=str(network[GATEWAY]),
        dns=str(network[DNS]),
    )


def network_data(ports: Sequence[Port]) -> dict[str, Any]:
    """The config drive's network_data.json, in the form of Nova's schema network_data.json.

    Addresses are static, so that a guest without a DHCP client has them too. No DNS server is named: QEMU's
    closed user network answers no query, and a resolver that never answers would hold up every login.
    """
    return {
        "links": [_link(port) for port in ports],
        "networks": [_network(number, port) for number, port in enumerate(ports)],
        "services": [],
    }


def _link(port: Port) -> dict[str, Any]:
    return {
        "id": _link_id(port),
        "vif_id": port.id,
        "type": "phy",
        "ethernet_mac_address": port.mac,
        "mtu": 1500,
    }


def _network(number: int, port: Port) -> dict[str, Any]:
    network = ipaddress.ip_network(port.network.cidr)
    default = {"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": str(network[GATEWAY])}  # noqa: S104
    return {
        "id": f"network{number}",
        "type": "ipv4",
        "link": _link_id(port),
        "ip_address": port.address,
        "netmask": str(network.netmask),
        "routes": [default],
        "network_id": port.network_id,
        "services": [],
    }


def _link_id(port: Port) -> str:
    """As Nova names it: tap and the first 11 characters of the port's id."""
    return f"tap{port.id[:11]}"
