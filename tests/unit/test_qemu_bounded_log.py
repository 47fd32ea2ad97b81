"""The console log: how it is shortened under its writer, and how its lines are counted."""

from pathlib import Path

import pytest

from renova.agent.qemu.bounded_log import KEPT, LIMIT, BoundedLog


def test_a_short_log_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * LIMIT)

    BoundedLog(path).shorten()

    assert path.stat().st_size == LIMIT


def test_a_long_log_keeps_its_newest_whole_lines_and_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("ab", buffering=0) as writer:
        writer.write(b"".join(b"line %06d\n" % number for number in range(60000)))

        BoundedLog(path).shorten()

        assert KEPT - 12 <= path.stat().st_size <= KEPT
        writer.write(b"and on\n")
    lines = path.read_bytes().splitlines()
    assert lines[-2:] == [b"line 059999", b"and on"]
    assert set(map(len, lines[:-1])) == {11}


@pytest.mark.parametrize(
    ("lines", "text"), [(None, "a\nb\nc"), (0, ""), (1, "c"), (2, "b\nc"), (99, "a\nb\nc")]
)
def test_the_newest_lines_are_told(tmp_path: Path, lines: int | None, text: str) -> None:
    path = tmp_path / "log"
    path.write_text("a\nb\nc")

    assert BoundedLog(path).tail(lines) == text


def test_what_follows_the_last_newline_counts_as_a_line_as_in_nova(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a\nb\n")

    assert BoundedLog(path).tail(2) == "b\n"


def test_bytes_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\xff\xfe ok")

    assert BoundedLog(path).tail(None).endswith(" ok")


def test_no_log_is_an_empty_one(tmp_path: Path) -> None:
    BoundedLog(tmp_path / "log").shorten()

    assert BoundedLog(tmp_path / "log").tail(None) == ""
