"""Writes a bootable raw disk without mounting anything.

Sector 0 is GRUB's boot.img with a partition table of one entry. From sector 1 on stands GRUB's core.img: its
drivers for the disk and ext4, and the commands that load the kernel. At 1 MiB the partition begins: ext4.
"""

import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path

from renova.guests.programs import run

_PARTITION_START = 1 << 20
_SECTOR = 512
_GRUB_MODULES = ("biosdisk", "part_msdos", "ext2", "linux")


def write(
    disk: Path, root: Path, *, size: int, boot: str, file_system: Sequence[str], packages: Path
) -> None:
    """A disk of `size` bytes whose file system holds the tree `root`, with its owners.

    `boot` are GRUB's commands, where $root is the file system; `file_system` more options of mke2fs;
    `packages` has GRUB (see `packages.fetch`). Raises GuestError.
    """
    with tempfile.TemporaryDirectory(dir=disk.parent, prefix=".grub-") as directory:
        core = _core(Path(directory), boot, packages)
    first, length = _PARTITION_START // _SECTOR, (size - _PARTITION_START) // _SECTOR
    # Bootable, type 0x83 (Linux), no CHS addresses; then three empty entries, over boot.img's floppy code.
    table = struct.pack("<B3xB3xII", 0x80, 0x83, first, length) + bytes(48)
    sector = (packages / "usr/lib/grub/i386-pc/boot.img").read_bytes()
    with disk.open("wb") as file:
        file.write(sector[:446] + table + sector[510:_SECTOR])
        file.write(core)
        file.truncate(size)
    run(
        *("mke2fs", "-q", "-t", "ext4", "-b", "4096", *file_system),
        *("-E", f"offset={_PARTITION_START},root_owner=0:0", "-d", root),
        *(disk, f"{(size - _PARTITION_START) >> 10}k"),
    )


def _core(work: Path, boot: str, packages: Path) -> bytes:
    (work / "grub.cfg").write_text(f"set root=(hd0,msdos1)\n{boot}boot\n")
    run(
        *(packages / "usr/bin/grub-mkimage", "--format=i386-pc", "--prefix=(hd0,msdos1)/boot"),
        *("--directory", packages / "usr/lib/grub/i386-pc", "--config", work / "grub.cfg"),
        *("--output", work / "core.img", *_GRUB_MODULES),
        library_path=packages / "lib/x86_64-linux-gnu",
    )
    return (work / "core.img").read_bytes()
