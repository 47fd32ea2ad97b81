"""Bridges of this host, and the ranges of addresses that are free on it."""

import contextlib
import hashlib
import json
from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

from renova.agent.networks.programs import run
from renova.errors import RenovaError

LINKS = Path("/sys/class/net")
_SETTINGS = Path("/proc/sys/net")
# Where a network's range is chosen from: 1,024 ranges of 4,091 addresses for servers, in the middle of 10/8,
# where home routers, Docker and Kubernetes have nothing by default.
POOL = IPv4Network("10.64.0.0/10")
PREFIX = 20


def exists(name: str) -> bool:
    return (LINKS / name).exists()


def beginning_with(prefix: str) -> list[str]:
    """The names of links that begin so."""
    return sorted(path.name for path in LINKS.glob(f"{prefix}*"))


async def used_ranges(*, but_by: str) -> list[IPv4Network]:
    """Every range that a route of this host leads to, apart from routes by this link.

    A route to an eighth of all addresses, or to more, is a default route in parts, as VPNs have it.
    """
    routes = json.loads(await run("ip", "-json", "-4", "route", "show", "table", "all"))
    others = [route["dst"] for route in routes if route.get("dev") != but_by and route["dst"] != "default"]
    return [used for used in map(IPv4Network, others) if used.prefixlen > 3]


def free_range(seed: str, used: Iterable[IPv4Network]) -> IPv4Network:
    """A range of the pool that touches none of these: for each seed another one first, as far as can be.

    Raises RenovaError where there is none.
    """
    ranges, taken = list(POOL.subnets(new_prefix=PREFIX)), list(used)
    start = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4]) % len(ranges)
    for candidate in ranges[start:] + ranges[:start]:
        if not any(candidate.overlaps(other) for other in taken):
            return candidate
    raise RenovaError(f"no range of {POOL} is free on this host")


async def ensure_bridge(name: str, address: IPv4Interface) -> None:
    """A bridge that is up and has this address and no other. Raises RenovaError."""
    if not exists(name):
        # Its own MAC: else it would have that of a guest, another one whenever guests come and go.
        mac = "02:" + hashlib.sha256(name.encode()).digest()[:5].hex(":")
        plain = ("type", "bridge", "stp_state", "0", "forward_delay", "0")
        await run("ip", "link", "add", name, "address", mac, *plain)
    # The firewall lets none of it pass; this spares guests the host's announcements.
    with contextlib.suppress(OSError):
        (_SETTINGS / f"ipv6/conf/{name}/disable_ipv6").write_text("1")
    shown = json.loads(await run("ip", "-json", "-4", "address", "show", "dev", name))
    has = {f"{info['local']}/{info['prefixlen']}" for link in shown for info in link.get("addr_info", [])}
    for other in has - {str(address)}:
        await run("ip", "address", "delete", other, "dev", name)
    if str(address) not in has:
        await run("ip", "address", "add", str(address), "dev", name)
    await run("ip", "link", "set", name, "up")


def ensure_forwarding() -> bool:
    """Let this host forward packets, as its guests' way out needs. Whether that was not so before.

    Raises OSError where the kernel's settings are read-only.
    """
    setting = _SETTINGS / "ipv4/ip_forward"
    if setting.read_text().strip() != "0":
        return False
    setting.write_text("1")
    return True
