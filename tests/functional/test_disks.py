"""Root disks, as qemu-img sees them."""

import errno
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from renova.agent import disks
from renova.agent.images import CachedBase
from renova.errors import DiskFull, RenovaError
from tests import sample_images
from tests.sample_images import MIB


@pytest.fixture
def base(tmp_path: Path) -> CachedBase:
    path = tmp_path / "images" / "sha512-abc.qcow2"
    path.parent.mkdir()
    path.write_bytes(sample_images.qcow2(64 * MIB))
    return CachedBase(path, "qcow2", 64 * MIB)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return disks.root_path(disks.server_directory(tmp_path, "s1"), 2)


def seen_by_qemu(path: Path) -> dict[str, Any]:
    info: dict[str, Any] = json.loads(subprocess.check_output(["qemu-img", "info", "--output=json", path]))
    return info


def checked_by_qemu(path: Path) -> dict[str, Any]:
    check: dict[str, Any] = json.loads(subprocess.check_output(["qemu-img", "check", "--output=json", path]))
    return check


def qemu_io(path: Path, *commands: str) -> str:
    """What is said of reads and writes of a disk."""
    arguments = [argument for command in commands for argument in ("-c", command)]
    return subprocess.check_output(["qemu-io", *arguments, path], text=True)


def broken_copies(path: Path) -> Iterator[Path]:
    """The file emptied, cut off in two places, and full of zeros."""
    whole = path.read_bytes()
    for broken in (b"", whole[:10], whole[:100], bytes(len(whole))):
        path.write_bytes(broken)
        yield path


async def test_an_overlay_of_the_flavors_size(root: Path, base: CachedBase) -> None:
    await disks.make_overlay(root, base, 1024 * MIB)
    info = seen_by_qemu(root)
    assert (info["format"], info["virtual-size"]) == ("qcow2", 1024 * MIB)
    assert (info["full-backing-filename"], info["backing-filename-format"]) == (str(base.path), "qcow2")
    assert disks.is_whole(root, base)
    assert [file.name for file in root.parent.iterdir()] == ["root-2.qcow2"]


@pytest.mark.parametrize("size", [MIB, 512 * MIB, 512 * MIB + 512, 5 * 1024**2 * MIB])
@pytest.mark.parametrize("disk_format", ["raw", "qcow2"])
async def test_an_overlay_is_whole_to_qemu(root: Path, base: CachedBase, size: int, disk_format: str) -> None:
    """At sizes where its L1 table has one entry, another one, and more than a cluster of them."""
    base = CachedBase(base.path, disk_format, MIB)
    await disks.make_overlay(root, base, size)
    check = checked_by_qemu(root)
    wrong = {name: check.get(name, 0) for name in ("check-errors", "corruptions", "leaks")}
    assert set(wrong.values()) == {0}, wrong
    info = seen_by_qemu(root)
    assert (info["virtual-size"], info["backing-filename-format"]) == (size, disk_format)
    assert not info["format-specific"]["data"]["corrupt"]


async def test_a_guest_writes_to_an_overlay_beyond_its_base(root: Path, tmp_path: Path) -> None:
    """What it has not written is its base's, and behind that zeros."""
    path = tmp_path / "base.raw"
    path.write_bytes(b"b" * MIB)
    await disks.make_overlay(root, CachedBase(path, "raw", MIB), 1024 * MIB)
    qemu_io(root, "write -P 7 0 4096", "write -P 8 700M 64k")
    assert not checked_by_qemu(root).get("corruptions")
    reads = ("read -P 7 0 4096", "read -P 98 4096 1044480", "read -P 0 1M 1M", "read -P 8 700M 64k")
    assert "verification failed" not in qemu_io(root, *reads)


@pytest.mark.parametrize("asked", [0, MIB])
async def test_an_overlay_is_never_smaller_than_its_base(root: Path, base: CachedBase, asked: int) -> None:
    await disks.make_overlay(root, base, asked)
    assert seen_by_qemu(root)["virtual-size"] == 64 * MIB


async def test_a_raw_base_that_ends_inside_a_sector(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "odd.raw"
    path.write_bytes(sample_images.raw(MIB + 1))
    await disks.make_overlay(root, CachedBase(path, "raw", MIB + 1), 0)
    assert seen_by_qemu(root)["virtual-size"] == MIB + 512


async def test_an_overlay_that_is_there_already_is_made_anew(root: Path, base: CachedBase) -> None:
    await disks.make_overlay(root, base, 128 * MIB)
    root.with_name("root-2.qcow2.part").write_bytes(b"left by an agent that was killed")
    await disks.make_overlay(root, base, 256 * MIB)
    assert seen_by_qemu(root)["virtual-size"] == 256 * MIB
    assert [file.name for file in root.parent.iterdir()] == ["root-2.qcow2"]


async def test_what_is_not_a_whole_overlay_of_this_base(root: Path, base: CachedBase, tmp_path: Path) -> None:
    assert not disks.is_whole(root, base)
    await disks.make_overlay(root, base, 0)
    assert not disks.is_whole(root, CachedBase(tmp_path / "sha512-def.qcow2", "qcow2", 64 * MIB))
    assert not any(disks.is_whole(broken, base) for broken in broken_copies(root))


async def test_removing_a_generation_leaves_the_others(root: Path, base: CachedBase) -> None:
    directory = root.parent
    for generation in (1, 2):
        await disks.make_overlay(disks.root_path(directory, generation), base, 0)
        disks.config_path(directory, generation).write_bytes(b"")
    root.with_name("root-2.qcow2.part").write_bytes(b"")
    for _ in range(2):
        disks.remove(directory, 2)
        assert {file.name for file in directory.iterdir()} == {"root-1.qcow2", "config-1.iso"}
    for _ in range(2):
        disks.remove_all(directory)
        assert not directory.exists()


async def test_a_failure_leaves_nothing_and_says_why(root: Path, base: CachedBase) -> None:
    await disks.make_overlay(root, base, 128 * MIB)
    copy = disks.root_path(root.parent, 3)
    with pytest.raises(RenovaError, match=r"qemu-img resize failed: .*nosuchformat"):
        await disks.copy_overlay(root, copy, CachedBase(base.path, "nosuchformat", 0), 128 * MIB)
    assert list(root.parent.iterdir()) == [root]


async def test_a_full_disk(root: Path, base: CachedBase, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(disks, "settle", full)
    with pytest.raises(DiskFull, match=r"No space left on the host's disk for the root disk root-2\.qcow2\."):
        await disks.make_overlay(root, base, 0)
    assert list(root.parent.iterdir()) == []
