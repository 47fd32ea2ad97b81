"""How a running server gets from one of its systems to another, as far as the database can tell."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

# A property of an image, of which only the value "respawn" says anything.
PROPERTY = "renova_rebuild_method"


class Method(StrEnum):
    """`swap`: the disks are exchanged under the live QEMU. `respawn`: a new QEMU is started. `none`: the
    server is off, and has no QEMU.
    """

    SWAP = "swap"
    RESPAWN = "respawn"
    NONE = "none"


@dataclass(frozen=True)
class Choice:
    """`why` is for people."""

    method: Method
    why: str


def method_of(option: str, *properties: Mapping[str, str], running: bool, disks_stay: bool = True) -> Choice:
    """`option` is `[rebuild] method`, `properties` those of the image before and of the one after,
    `disks_stay` whether the machine keeps its ephemeral and swap disks.

    The host has the last word: it respawns too where the machine itself changes, where QEMU is not well, and
    where a swap fails.
    """
    if not running:
        return Choice(Method.NONE, "the server is off")
    if option == Method.RESPAWN:
        return Choice(Method.RESPAWN, "[rebuild] method = respawn")
    if any(image.get(PROPERTY, "").lower() == Method.RESPAWN for image in properties):
        return Choice(Method.RESPAWN, f"an image has {PROPERTY}=respawn")
    if not disks_stay:
        return Choice(Method.RESPAWN, "a data disk is made anew")
    return Choice(Method.SWAP, "the machine stays and its disks are exchanged")
