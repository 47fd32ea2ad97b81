"""What a guest is made of comes from apt, which may be missing, offline or out of date."""

from pathlib import Path

import pytest

from renova.guests.packages import fetch
from renova.guests.programs import GuestError

APT_CACHE = "echo 'Depends: linux-image-1-cloud (= 1)'"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory of programs, the only one on PATH."""
    directory = tmp_path / "programs"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    return directory


def write(programs: Path, name: str, script: str) -> None:
    (programs / name).write_text(f"#!/bin/sh\n{script}\n")
    (programs / name).chmod(0o755)


@pytest.mark.usefixtures("programs")
def test_a_system_without_apt(tmp_path: Path) -> None:
    with pytest.raises(GuestError, match="apt-cache is needed"):
        fetch(tmp_path / "packages")


def test_a_package_that_apt_can_not_deliver(programs: Path, tmp_path: Path) -> None:
    write(programs, "apt-cache", APT_CACHE)
    write(
        programs,
        "apt-get",
        "echo 'W: noise' >&2; echo 'E: Unable to locate package grub-pc-bin' >&2; exit 100",
    )
    with pytest.raises(GuestError) as failed:
        fetch(tmp_path / "packages")
    assert "Unable to locate package grub-pc-bin" in failed.value.message
    assert "apt-get update" in failed.value.message
    assert "\n" not in failed.value.message
    assert [left.name for left in (tmp_path / "packages").iterdir()] == ["lock"]


def test_packages_are_downloaded_once(programs: Path, tmp_path: Path) -> None:
    write(programs, "apt-cache", APT_CACHE)
    write(programs, "apt-get", '[ "$3" = linux-image-1-cloud ] && : >one.deb && : >two.deb')
    write(programs, "dpkg-deb", '/bin/mkdir -p "$3" && : >"$3/${2##*/}.file"')
    tree = fetch(tmp_path / "packages")
    assert {file.name for file in tree.iterdir()} == {"one.deb.file", "two.deb.file"}
    (programs / "apt-get").unlink()
    assert fetch(tmp_path / "packages") == tree
