"""What guests may send, as nftables rules: two tables of one name, always replaced as a whole.

The table of the family bridge sees every frame that a guest sends: only its own MAC and address pass, in ARP
too. The table of the family inet guards this host, and what lies behind it, from guests, and guests from
outside. Sources: nft(8); "Bridge filtering" of the nftables wiki.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface

from renova.agent.networks.names import Names
from renova.agent.networks.programs import run

METADATA = "169.254.169.254"
# Of the bridge's address; guests ask port 80 of METADATA. Not one that services of a host are known to use.
METADATA_PORT = 16925


@dataclass(frozen=True)
class Segment:
    """A network's bridge, with the address and prefix that this host has on it."""

    bridge: str
    address: IPv4Interface


@dataclass(frozen=True)
class Sender:
    """A port as the bridge sees it."""

    tap: str
    mac: str
    address: str


def rules(names: Names, segments: Sequence[Segment], senders: Sequence[Sender]) -> str:
    """The whole ruleset of one agent, for `nft -f -`, which takes all of it or nothing."""
    table = names.table
    return f"""\
table inet {table}
delete table inet {table}
table inet {table} {{
    chain input {{
        type filter hook input priority filter; policy accept;
        {_lines(f'iifname "{s.bridge}" jump to_host' for s in segments)}
        {_lines(f'ip daddr {s.address.ip} iifname != {{ "{s.bridge}", "lo" }} drop' for s in segments)}
    }}
    chain to_host {{
        ct state established,related accept
        udp sport 68 udp dport 67 accept
        {_lines(_services(s) for s in segments)}
        drop
    }}
    chain forward {{
        type filter hook forward priority filter; policy accept;
        {_lines(line for s in segments for line in _forward(s))}
    }}
    chain prerouting {{
        type nat hook prerouting priority dstnat; policy accept;
        {_lines(_to_metadata(s) for s in segments)}
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        {_lines(f'ip saddr {s.address.network} oifname != "{s.bridge}" masquerade' for s in segments)}
    }}
}}
table bridge {table}
delete table bridge {table}
table bridge {table} {{
    set cards {{
        type ifname . ether_addr
        {_elements(f'"{s.tap}" . {s.mac}' for s in senders)}
    }}
    set senders {{
        type ifname . ether_addr . ipv4_addr
        {_elements(f'"{s.tap}" . {s.mac} . {s.address}' for s in senders)}
    }}
    chain prerouting {{
        type filter hook prerouting priority -300; policy accept;
        iifname "{names.taps}*" goto from_guest
    }}
    chain from_guest {{
        iifname . ether saddr != @cards drop
        iifname . arp saddr ether . arp saddr ip @senders accept
        arp saddr ip 0.0.0.0 iifname . arp saddr ether @cards accept
        ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept
        udp sport 67 drop
        iifname . ether saddr . ip saddr @senders accept
        drop
    }}
}}
"""


async def apply(ruleset: str) -> None:
    """Raises RenovaError; then the rules before are still in force."""
    await run("nft", "-f", "-", text=ruleset)


async def stands(names: Names) -> bool:
    """Whether both tables are there: somebody may have flushed the ruleset of the host."""
    return (await run("nft", "list", "tables")).split().count(names.table) == 2


def removal(names: Names) -> str:
    """Rules that take both tables away, whether they are there or not."""
    return "".join(
        f"table {family} {names.table}\ndelete table {family} {names.table}\n"
        for family in ("inet", "bridge")
    )


def _services(segment: Segment) -> str:
    """What this host does for guests: DNS, and metadata by the way through the address that they know."""
    ours = f'iifname "{segment.bridge}" ip daddr {segment.address.ip}'
    return (
        f"{ours} meta l4proto {{ tcp, udp }} th dport 53 accept\n"
        f"        {ours} tcp dport {METADATA_PORT} ct status dnat accept"
    )


def _forward(segment: Segment) -> list[str]:
    """Guests of one network reach each other also where br_netfilter shows this chain what passes a bridge.

    A host that is itself somebody's guest has metadata of its own at a link-local address.
    """
    bridge = segment.bridge
    return [
        f'iifname "{bridge}" oifname "{bridge}" accept',
        f'oifname "{bridge}" ct state established,related accept',
        f'oifname "{bridge}" drop',
        f'iifname "{bridge}" ip saddr != {segment.address.network} drop',
        f'iifname "{bridge}" ip daddr 169.254.0.0/16 drop',
        f'iifname "{bridge}" meta nfproto ipv6 drop',
    ]


def _to_metadata(segment: Segment) -> str:
    return f'iifname "{segment.bridge}" ip daddr {METADATA} tcp dport 80 redirect to :{METADATA_PORT}'


def _lines(lines: Iterable[str]) -> str:
    return "\n        ".join(lines)


def _elements(elements: Iterable[str]) -> str:
    joined = ", ".join(elements)
    return f"elements = {{ {joined} }}" if joined else ""
