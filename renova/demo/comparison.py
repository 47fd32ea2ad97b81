"""What a rebuild has to keep, what it has to replace, and whether it did."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

KEPT = ("id", "addresses", "MAC", "flavor", "the guest's own address and MAC")
CHANGED = (
    *("image", "name", "metadata", "key"),
    *("the guest's own OS", "the guest's own name", "the guest's own metadata", "the guest's own key"),
)


@dataclass(frozen=True)
class Row:
    what: str
    before: str
    after: str
    must_be_kept: bool

    @property
    def is_right(self) -> bool:
        return bool(self.before and self.after) and (self.before == self.after) is self.must_be_kept

    @property
    def verdict(self) -> str:
        if not self.is_right:
            return "WRONG"
        return "kept" if self.must_be_kept else "changed"


def facts(server: Mapping[str, Any], image_names: Mapping[str, str], console: str) -> dict[str, str]:
    """A server as the API shows it (microversion 2.1) and its guest's console, as the words to compare."""
    addresses = [address for network in server["addresses"].values() for address in network]
    return {
        "id": server["id"],
        "addresses": ", ".join(address["addr"] for address in addresses),
        "MAC": ", ".join(address["OS-EXT-IPS-MAC:mac_addr"] for address in addresses),
        "flavor": server["flavor"]["id"],
        "the guest's own address and MAC": said(console, "address"),
        "image": image_names[server["image"]["id"]],
        "name": server["name"],
        "metadata": ", ".join(f"{key}={value}" for key, value in sorted(server["metadata"].items())),
        "key": server["key_name"],
        "the guest's own OS": said(console, "os"),
        "the guest's own name": said(console, "name"),
        "the guest's own metadata": said(console, "metadata"),
        # Its name and the end of the key itself.
        "the guest's own key": re.sub(r" .*(.{8})", r" ...\1", said(console, "key")),
    }


def said(console: str, word: str) -> str:
    """What stands after "guest WORD: " on the console; empty if the guest has not said it."""
    found = [line for line in console.splitlines() if line.startswith(f"guest {word}: ")]
    return found[-1].partition(": ")[2] if found else ""


def compare_kept(before: Mapping[str, str], after: Mapping[str, str]) -> list[Row]:
    """After a rebuild and its undo: everything is as it was."""
    return [Row(what, before[what], after[what], must_be_kept=True) for what in (*KEPT, *CHANGED)]


def compare(before: Mapping[str, str], after: Mapping[str, str]) -> list[Row]:
    kept = [Row(what, before[what], after[what], must_be_kept=True) for what in KEPT]
    return kept + [Row(what, before[what], after[what], must_be_kept=False) for what in CHANGED]


def seconds_between(event: Mapping[str, Any]) -> str:
    """How long an event of an action took."""
    if not event["finish_time"]:
        return ""
    start, finish = (datetime.fromisoformat(event[key]) for key in ("start_time", "finish_time"))
    return f"{(finish - start).total_seconds():.2f}"


def table(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Lines with columns as wide as they need to be."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
