"""Ephemeral and swap disks: what a flavor gives a server beside its root disk.

Each is a raw file, as sparse as its guest leaves it. It lies on no base, so a qcow2 would be one more table
to keep whole; whatever a guest writes into it, QEMU is told that it is raw. An ephemeral disk comes with ext4
and the label ephemeral0, a swap disk with its signature, as Nova makes them.

A swap disk is one generation's own: another system has no use for the pages of the one before, and is not to
resume what that one hibernated. An ephemeral disk is every generation's whose row names the one that made it.
"""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from renova.agent.files import PART, in_thread, part_of, settle
from renova.agent.programs import CPU_OF_A_COPY, run
from renova.db.tables import Generation
from renova.errors import RenovaError

GIB, MIB = 1024**3, 1024**2
# Makes an ephemeral disk at this path, of so many bytes.
MakeEphemeral = Callable[[Path, int], Awaitable[None]]


async def make_ephemeral(path: Path, size: int) -> None:
    """An empty file system of `size` bytes; a disk that is there already is replaced.

    Raises DiskFull, or RenovaError with mke2fs's own words.
    """
    # The file reads as zeros already, so tables are not zeroed once more: half a megabyte is written, not 33.
    zeros = "nodiscard,lazy_itable_init=1,lazy_journal_init=1"
    await _make(path, size, "mke2fs", "-q", "-F", "-t", "ext4", "-L", "ephemeral0", "-E", zeros)


async def copy_ephemeral(source: Path, path: Path, size: int) -> None:
    """A copy of `source`, which nobody writes to now, on a disk of `size` bytes; the file system stays as
    large as it was, as in Nova. One that is there already is replaced. Raises DiskFull.
    """
    with part_of(path, f"the disk {path.name}") as part:
        await run("cp", "--reflink=auto", "--sparse=always", source, part, cpu=CPU_OF_A_COPY)
        await in_thread(_grow, part, size)
        await in_thread(settle, part, path)


async def _make(path: Path, size: int, *command: str) -> None:
    with part_of(path, f"the disk {path.name}") as part:
        part.unlink(missing_ok=True)
        await in_thread(_grow, part, size)
        await run(*command, part)
        await in_thread(settle, part, path)


def _grow(path: Path, size: int) -> None:
    with path.open("ab") as file:
        if os.fstat(file.fileno()).st_size < size:
            os.truncate(file.fileno(), size)


@dataclass(frozen=True)
class DataDisks:
    """Those of one generation: `ephemeral_generation` is the one that made its ephemeral disk, None where it
    has none; `swap_mib` 0 is no swap disk.
    """

    directory: Path
    generation: int
    ephemeral_generation: int | None
    ephemeral_gib: int
    swap_mib: int

    @classmethod
    def of(cls, directory: Path, generation: Generation, flavor: dict[str, int]) -> Self:
        """Those that a server with this flavor has with this generation."""
        return cls(
            directory,
            generation.number,
            generation.ephemeral_generation,
            flavor["ephemeral"],
            flavor["swap"],
        )

    @property
    def ephemeral(self) -> Path | None:
        made_by = self.ephemeral_generation
        return None if made_by is None else _ephemeral_path(self.directory, made_by)

    @property
    def swap(self) -> Path | None:
        return _swap_path(self.directory, self.generation) if self.swap_mib else None

    @property
    def paths(self) -> tuple[str, ...]:
        """In the order in which the guest sees them, after the root disk and the config drive."""
        return tuple(str(path) for path in (self.ephemeral, self.swap) if path)

    async def make(self, make: MakeEphemeral = make_ephemeral) -> None:
        """Both are there and as a system finds them that has never run; what an earlier generation made is
        kept. Raises DiskFull, RenovaError.
        """
        if self.ephemeral and self.ephemeral_generation == self.generation:
            await make(self.ephemeral, self.ephemeral_gib * GIB)
        await self._make_swap()
        self.check()

    async def fit(self) -> None:
        """They are as large as the flavor says now. The ephemeral disk is never made smaller, and a swap disk
        of another size is made anew. Raises DiskFull, RenovaError.
        """
        self.check_ephemeral()
        if self.ephemeral:
            await in_thread(_grow, self.ephemeral, self.ephemeral_gib * GIB)
        if self.swap and not (self.swap.exists() and self.swap.stat().st_size == self.swap_mib * MIB):
            await self._make_swap()

    def check(self) -> None:
        """Raises RenovaError where one is not there."""
        self.check_ephemeral()
        if self.swap and not self.swap.exists():
            raise RenovaError("the swap disk is gone")

    def check_ephemeral(self) -> None:
        if self.ephemeral and not self.ephemeral.exists():
            raise RenovaError("the ephemeral disk is gone")

    async def _make_swap(self) -> None:
        if self.swap:
            await _make(self.swap, self.swap_mib * MIB, "mkswap", "-q")


def block_devices(*, ephemeral: bool, swap: bool) -> dict[str, str]:
    """How the guest names its disks, as EC2's block-device-mapping and Nova say it.

    The names are those that Linux gives to virtio disks in the order in which QEMU has them: root, config
    drive, ephemeral, swap.
    """
    letters = iter("cd")
    names = {"ami": "vda", "root": "/dev/vda"}
    for name, there in (("ephemeral0", ephemeral), ("swap", swap)):
        if there:
            names[name] = f"/dev/vd{next(letters)}"
    return names


def empty_size(flavor: dict[str, int]) -> int:
    """Bytes of the host's disk that fresh ones do not exceed: an empty ext4 has tables for each GiB."""
    return MIB + flavor["ephemeral"] * MIB // 4 if flavor["ephemeral"] or flavor["swap"] else 0


def remove_swap(directory: Path, generation: int) -> None:
    _remove(_swap_path(directory, generation))


def remove_ephemeral(directory: Path, made_by: int) -> None:
    """Remove an ephemeral disk, or what there is of one. Nothing to remove is no error."""
    _remove(_ephemeral_path(directory, made_by))


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_name(path.name + PART).unlink(missing_ok=True)


def _ephemeral_path(directory: Path, made_by: int) -> Path:
    return directory / f"ephemeral-{made_by}.raw"


def _swap_path(directory: Path, generation: int) -> Path:
    return directory / f"swap-{generation}.raw"
