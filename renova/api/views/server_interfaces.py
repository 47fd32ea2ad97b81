"""What a client sees of a server's network cards. Source: Nova's API reference, "Port interfaces"."""

from typing import Annotated, Self

from renova.api.marked import View
from renova.api.microversions import since
from renova.db.tables import Port


class Interface(View):
    """A network of ours has one subnet, which goes by the network's id. Tags are not kept."""

    port_id: str
    net_id: str
    mac_addr: str
    port_state: str
    fixed_ips: list[dict[str, str]]
    tag: Annotated[str | None, since("2.70")]

    @classmethod
    def of(cls, port: Port) -> Self:
        return cls(
            port_id=port.id,
            net_id=port.network_id,
            mac_addr=port.mac,
            port_state="ACTIVE",  # A port is made with its server and never taken down.
            fixed_ips=[{"ip_address": port.address, "subnet_id": port.network_id}],
            tag=None,
        )
