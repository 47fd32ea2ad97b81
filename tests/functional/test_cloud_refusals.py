"""What `renova up` says, in one line, where it can't start."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from renova.cloud.state import State
from tests.functional.shared_cloud import RENOVA, free_port_offset


@pytest.fixture
def directory() -> Iterator[Path]:
    """Where PostgreSQL's user can go, unlike tmp_path."""
    path = Path(tempfile.mkdtemp(prefix="renova-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


def refused(state: Path, *options: str, **environment: str) -> str:
    """The one line that `renova up` ends with."""
    done = subprocess.run(
        [*RENOVA, "up", "--state", str(state), *options],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert not (state / "ready").exists()
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_a_taken_port_is_named_with_its_service(directory: Path) -> None:
    offset = free_port_offset()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 9292 + offset))
        taken.listen()
        line = refused(directory, "--port-offset", str(offset))
    assert f"port {9292 + offset} for glance: Address already in use" in line
    assert not (directory / "postgres").exists()


def test_a_missing_program_is_named_with_its_package(directory: Path) -> None:
    programs = directory / "bin"
    programs.mkdir()
    for name in ("setpriv", "useradd", "id"):
        if found := shutil.which(name):
            (programs / name).symlink_to(found)
    line = refused(directory / "state", "--port-offset", str(free_port_offset()), PATH=str(programs))
    assert "the program qemu-system-x86_64 is missing; on Debian: apt-get install qemu-system-x86" in line


def test_a_place_that_cannot_be_written_to(directory: Path) -> None:
    (directory / "file").touch()
    assert "can't be used: Not a directory" in refused(directory / "file" / "state")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
def test_a_place_that_postgresql_cannot_reach(directory: Path) -> None:
    (directory / "closed").mkdir(mode=0o700)
    line = refused(directory / "closed" / "state", "--port-offset", str(free_port_offset()))
    assert f"the user renova-postgres of PostgreSQL can't reach {directory}/closed/state" in line


def test_a_database_of_another_major_version(directory: Path) -> None:
    state = State(directory)
    state.make()
    (directory / "postgres").mkdir()
    (directory / "postgres" / "PG_VERSION").write_text("17\n")
    line = refused(directory, "--port-offset", str(free_port_offset()))
    assert "postgres is of PostgreSQL 17 and can't be run by 18" in line


def test_a_database_without_its_passwords(directory: Path) -> None:
    state = State(directory)
    state.make()
    (directory / "postgres").mkdir()
    state.password_file("postgres").unlink()
    assert "secrets/postgres is missing; restore it" in refused(directory)


def test_a_state_of_newer_code(directory: Path) -> None:
    (directory / "version").write_text(json.dumps({"layout": 1, "schema": "9999"}))
    assert "was made by a newer Renova (schema 9999" in refused(directory)


def test_somebody_elses_directory(directory: Path) -> None:
    (directory / "thesis.tex").touch()
    assert "is not empty (thesis.tex) and no state of `renova up`" in refused(directory)


def test_an_offset_without_ports(directory: Path) -> None:
    assert "--port-offset has to be from 0 to" in refused(directory, "--port-offset", "60000")


def test_a_wrong_option_in_local_renova_conf(directory: Path) -> None:
    (directory / "local").mkdir()
    (directory / "local" / "renova.conf").write_text("[compute]\naccelerator = steam\n")
    assert "accelerator" in refused(directory, "--port-offset", str(free_port_offset()))


def test_down_without_a_cloud(directory: Path) -> None:
    done = subprocess.run(
        [*RENOVA, "down", "--state", str(directory)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, f"renova: {directory} holds no cloud of `renova up`\n")
