"""The state directory of `renova up`, without any of its services."""

import json
import os
import stat
from pathlib import Path

import pytest

from renova.cloud import passwords
from renova.cloud.errors import CloudError
from renova.cloud.state import LAYOUT, State


def test_a_new_directory_gets_passwords_that_only_their_owner_reads(tmp_path: Path) -> None:
    state = State(tmp_path / "new")
    state.make()
    files = sorted((state.path / "secrets").iterdir())
    assert [file.name for file in files] == sorted(passwords.NAMES)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert len({file.read_text() for file in files}) == len(files)


def test_making_it_again_keeps_the_passwords(tmp_path: Path) -> None:
    state = State(tmp_path / "new")
    state.make()
    before = state.password("admin")
    state.make()
    assert state.password("admin") == before


def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    with pytest.raises(CloudError, match=r"not empty \(letters\)"):
        State(tmp_path).make()
    assert [entry.name for entry in tmp_path.iterdir()] == ["letters"]


@pytest.mark.parametrize("name", ["layout", "schema", "keystone", "glance"])
def test_a_directory_of_a_newer_version_is_refused(tmp_path: Path, name: str) -> None:
    state = State(tmp_path)
    state.make()
    state.write_record({**state.wanted_record(), name: "9999.0.0"})
    with pytest.raises(CloudError, match=rf"newer Renova \({name} 9999"):
        state.make()


def test_a_directory_of_an_older_version_is_not_what_is_wanted(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.make()
    for lost in ("postgres", "keystone/fernet-keys/0", "keystone/credential-keys/0"):
        (tmp_path / lost).mkdir(parents=True)
    state.write_record({**state.wanted_record(), "schema": "0000", "keystone": "9.9.9"})
    state.make()
    assert state.record != state.wanted_record()


def test_a_record_that_is_no_record_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "version").write_text("30.0.0")
    with pytest.raises(CloudError, match="can't be read"):
        State(tmp_path).make()


def test_a_first_start_that_was_killed_is_carried_on(tmp_path: Path) -> None:
    (tmp_path / "version").write_text(json.dumps({"layout": LAYOUT}))
    state = State(tmp_path)
    state.make()
    assert state.record != state.wanted_record()


def test_a_database_without_its_passwords_is_refused(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.make()
    (tmp_path / "postgres").mkdir()
    state.password_file("database-glance").unlink()
    with pytest.raises(CloudError, match="secrets/database-glance is missing"):
        state.make()


@pytest.mark.parametrize("lost", ["postgres", "keystone/fernet-keys/0"])
def test_a_state_that_lost_a_part_is_refused_and_not_made_anew(tmp_path: Path, lost: str) -> None:
    state = State(tmp_path)
    state.make()
    for part in {"postgres", "keystone/fernet-keys/0", "keystone/credential-keys/0"} - {lost}:
        (tmp_path / part).mkdir(parents=True)
    state.write_record(state.wanted_record())
    with pytest.raises(CloudError, match=f"{lost} is missing; restore it"):
        state.make()


def test_a_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CloudError, match="file/state can't be used: Not a directory"):
        State(tmp_path / "file" / "state").make()


def test_two_do_not_hold_one_directory(tmp_path: Path) -> None:
    second = State(tmp_path).lock()
    with State(tmp_path).lock(), pytest.raises(CloudError, match="another `renova up` is running"):
        second.__enter__()
    with State(tmp_path).lock():
        pass


def test_sockets_fit_into_an_address(tmp_path: Path) -> None:
    state = State(tmp_path / ("long" * 60))
    server = "servers/12345678-1234-1234-1234-123456789012/serial.sock"
    assert len(os.fsencode(state.run_path / server)) < 108


def test_a_file_of_ones_own_comes_last(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "renova.conf").write_text("[compute]\nprofile = nova\n")
    assert State(tmp_path).with_local("renova", "[compute]\nprofile = noa\n").endswith("profile = nova\n")
