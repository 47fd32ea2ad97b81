"""A server's ports as its guest reads of them.

The first addresses of a network are never given to a server: the gateway answers on the first, and the
second is what QEMU's user network must be told as its DNS server.
"""

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any

from renova.db.tables import Network, Port

GATEWAY, DNS = 1, 2
_EVERYWHERE = {"network": "0.0.0.0", "netmask": "0.0.0.0"}  # noqa: S104  A route, not a socket.


def address_of(network: Network, number: int) -> str:
    """One of the addresses above."""
    return str(ipaddress.ip_network(network.cidr)[number])


def tap_name(port: Port) -> str:
    """As Nova names it: tap and the first 11 characters of the port's id. A name of an interface has 15."""
    return f"tap{port.id[:11]}"


def network_data(ports: Sequence[Port], resolver: Callable[[Network], str | None]) -> dict[str, Any]:
    """The config drive's network_data.json, in the form of Nova's schema network_data.json.

    Addresses are static, so that a guest without a DHCP client has them too. The first port has the default
    route. A DNS server is named only where one answers: else the resolver would hold up every login.
    """
    servers = dict.fromkeys(filter(None, (resolver(port.network) for port in ports)))
    return {
        "links": [_link(port) for port in ports],
        "networks": [_network(number, port, resolver(port.network)) for number, port in enumerate(ports)],
        "services": [_dns(server) for server in servers],
    }


def _link(port: Port) -> dict[str, Any]:
    return {
        "id": tap_name(port),
        "vif_id": port.id,
        "type": "phy",
        "ethernet_mac_address": port.mac,
        "mtu": 1500,
    }


def _network(number: int, port: Port, resolver: str | None) -> dict[str, Any]:
    default = _EVERYWHERE | {"gateway": address_of(port.network, GATEWAY)}
    return {
        "id": f"network{number}",
        "type": "ipv4",
        "link": tap_name(port),
        "ip_address": port.address,
        "netmask": str(ipaddress.ip_network(port.network.cidr).netmask),
        "routes": [default] if number == 0 else [],
        "network_id": port.network_id,
        "services": [_dns(resolver)] if resolver else [],
    }


def _dns(address: str) -> dict[str, str]:
    return {"type": "dns", "address": address}
