"""What a client sees of a server's addresses. Source: Nova's API reference, "Servers IPs (servers, ips)"."""

from typing import Annotated, Any

from pydantic import Field

from renova.api.marked import View
from renova.db.tables import Server


class Address(View):
    version: int
    addr: str


class PortAddress(Address):
    type: Annotated[str, Field(alias="OS-EXT-IPS:type")]
    mac: Annotated[str, Field(alias="OS-EXT-IPS-MAC:mac_addr")]


def addresses(server: Server, *, ports: bool = False) -> dict[str, list[Address]]:
    """By the label of the network; with the type and MAC of each where `ports` says so."""
    by_label: dict[str, list[Address]] = {}
    for port in server.ports:
        plain: dict[str, Any] = {"version": 6 if ":" in port.address else 4, "addr": port.address}
        address = PortAddress(**plain, type="fixed", mac=port.mac) if ports else Address(**plain)
        by_label.setdefault(port.network.label, []).append(address)
    return by_label
