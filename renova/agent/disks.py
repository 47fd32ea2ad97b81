"""The files of one server: a root overlay and a config drive for each generation.

A root disk is a qcow2 overlay straight on a base image of the cache, never on another overlay: to go back to
the generation before is to open another file.
"""

import json
import shutil
import struct
from pathlib import Path
from typing import Any

from renova.agent.files import PART, in_thread, part_of, plain, settle
from renova.agent.images import CachedBase
from renova.agent.programs import CPU, CPU_OF_A_COPY, run
from renova.agent.qcow2 import write_overlay

SECTOR = 512
# Bytes that the file of an empty root disk does not exceed.
EMPTY_SIZE = 1024**2


def server_directory(state_path: str | Path, server_id: str) -> Path:
    return Path(state_path) / "servers" / plain(server_id)


def root_path(directory: Path, generation: int) -> Path:
    return directory / f"root-{generation}.qcow2"


def config_path(directory: Path, generation: int) -> Path:
    return directory / f"config-{generation}.iso"


def host_keys_path(directory: Path, generation: int) -> Path:
    """What a generation's guest has shown of its SSH host keys."""
    return directory / f"host-keys-{generation}.json"


async def make_overlay(path: Path, base: CachedBase, size_bytes: int) -> None:
    """Make an empty root disk of `size_bytes` over a base image; one that is there already is replaced.

    A disk is never smaller than its base, or the guest would lose the end of its file systems. Raises
    DiskFull.
    """
    size = max(size_bytes, base.virtual_size)
    await in_thread(_make_overlay, path, base, size + -size % SECTOR)


def _make_overlay(path: Path, base: CachedBase, size: int) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with part_of(path, f"the root disk {path.name}") as part:
        with part.open("wb") as file:
            write_overlay(file.fileno(), str(base.path), base.disk_format, size)
        settle(part, path)


async def copy_overlay(source: Path, path: Path, base: CachedBase, size_bytes: int) -> None:
    """Make a root disk of `size_bytes` with the content of `source`, an overlay over the same base that
    nobody writes to now; one that is there already is replaced.

    What is copied is what the guest has written: not the base, and no holes. Raises DiskFull, or RenovaError
    (also where `size_bytes` is smaller than the source's disk).
    """
    size = size_bytes + -size_bytes % SECTOR
    with part_of(path, f"the root disk {path.name}") as part:
        await run("cp", "--reflink=auto", "--sparse=always", source, part, cpu=CPU_OF_A_COPY)
        await _qemu_img("resize", "-q", _nodes(part, base), str(size))
        await in_thread(settle, part, path)


async def grow(path: Path, base: CachedBase, size_bytes: int) -> None:
    """Make a root disk larger that nobody uses now. A kill in the middle leaves it whole, small or large.

    Raises DiskFull, or RenovaError with qemu-img's own words (also for a size below the present one).
    """
    await _qemu_img("resize", "-q", _nodes(path, base), str(size_bytes + -size_bytes % SECTOR))


def bytes_of(path: Path) -> int:
    """How much of the host's disk a file takes: holes are not counted."""
    return path.stat().st_blocks * SECTOR


async def make_flat(path: Path, size_bytes: int) -> None:
    """Make an empty qcow2 file over nothing."""
    await _qemu_img("create", "-q", "-f", "qcow2", path, str(size_bytes))


async def flatten(source: Path, path: Path, base: CachedBase) -> None:
    """Copy a root disk that nobody writes to now, with what it shows of its base, into one qcow2 file."""
    await _qemu_img("convert", "-q", "-O", "qcow2", _nodes(source, base), path, cpu=CPU_OF_A_COPY)


def snapshot_path(directory: Path, image_id: str) -> Path:
    """Where a root disk is copied to that becomes an image."""
    return directory / f"snapshot-{plain(image_id)}.qcow2"


def _nodes(path: Path, base: CachedBase) -> str:
    """An overlay on its base for qemu-img, which then follows no path in a header, as QEMU itself."""
    below: dict[str, Any] = {"driver": base.disk_format, "read-only": True}
    if base.disk_format == "qcow2":
        below["backing"] = None
    below["file"] = {"driver": "file", "filename": str(base.path)}
    overlay = {"driver": "qcow2", "file": {"driver": "file", "filename": str(path)}, "backing": below}
    return f"json:{json.dumps(overlay)}"


def is_whole(path: Path, base: CachedBase) -> bool:
    """Whether the file is a root disk over this base. Its directory may have moved since it was made."""
    try:
        with path.open("rb") as file:
            # QEMU, docs/interop/qcow2.txt, "Header": magic, version, where the backing file's name is.
            magic, _, start, length = struct.unpack(">4sIQI", file.read(20))
            file.seek(start)
            return bool(magic == b"QFI\xfb") and Path(file.read(length).decode()).name == base.path.name
    except (OSError, ValueError, struct.error):
        return False


def remove(directory: Path, generation: int) -> None:
    """Remove the files of a generation, those of a half-made one too. Nothing to remove is no error."""
    for path_of in (root_path, config_path, host_keys_path):
        path = path_of(directory, generation)
        path.unlink(missing_ok=True)
        path.with_name(path.name + PART).unlink(missing_ok=True)


def remove_all(directory: Path) -> None:
    """Remove a server's directory. Nothing to remove is no error."""
    if directory.exists():
        shutil.rmtree(directory)


async def _qemu_img(*arguments: str | Path, cpu: int = CPU) -> None:
    await run("qemu-img", *arguments, cpu=cpu)
