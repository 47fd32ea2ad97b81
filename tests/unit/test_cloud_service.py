"""What `renova up` does for each of its programs, tried on shell scripts."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from renova.cloud.errors import CloudError
from renova.cloud.service import Service, run_to_end, write_pid
from tests.waiting import wait_until


def service(directory: Path, script: str, *, answers: bool = False, grace: float = 30) -> Service:
    async def answering() -> bool:
        return answers

    log, pid_file = directory / "log", directory / "pid"
    return Service("example", ["sh", "-c", script], log, pid_file, answering, grace=grace)


async def until(condition: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(wait_until, condition, what)


def test_a_pid_file_is_never_seen_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "example.pid"
    write_pid(file, 4711)
    written: list[str] = []
    write_text = Path.write_text

    def half(path: Path, text: str) -> int:
        write_text(path, text[:1])
        written.append(file.read_text())
        return write_text(path, text)

    monkeypatch.setattr(Path, "write_text", half)
    write_pid(file, 5822)
    assert written == ["4711\n"]
    assert file.read_text() == "5822\n"
    assert [path.name for path in tmp_path.iterdir()] == ["example.pid"]


async def test_a_program_that_ends_before_it_answers_is_told_with_its_last_words(tmp_path: Path) -> None:
    example = service(tmp_path, "echo out of luck >&2; echo INFO bye; exit 3")
    await example.start()
    with pytest.raises(CloudError, match="example ended with status 3 before it answered: out of luck"):
        await example.wait_until_it_answers()
    await example.stop()


async def test_a_program_that_ends_is_started_again_ever_later(tmp_path: Path) -> None:
    said: list[str] = []
    example = service(tmp_path, "echo begun; kill -9 $$", answers=True)
    await example.start()
    keeper = asyncio.create_task(example.keep(said.append))
    await until(lambda: (tmp_path / "log").read_text().count("begun") == 3, "two more starts")
    keeper.cancel()
    await example.stop()
    assert said[0].startswith("example was killed by signal 9; it is started again in 0.2 s")
    assert said[1].startswith("example was killed by signal 9; it is started again in 0.4 s")


async def test_a_program_that_cannot_be_started_again_is_tried_again(tmp_path: Path) -> None:
    said: list[str] = []
    example = service(tmp_path, "true", answers=True)
    await example.start()
    example.pid_file = tmp_path / "no such directory" / "pid"
    keeper = asyncio.create_task(example.keep(said.append))
    await until(lambda: sum("can't be started: " in line for line in said) == 2, "two more tries")
    keeper.cancel()
    await example.stop()


async def test_a_program_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    example = service(tmp_path, "trap '' TERM; echo deaf; while true; do sleep 0.1; done", grace=0.2)
    await example.start()
    await until(lambda: "deaf" in (tmp_path / "log").read_text(), "the trap is set")
    pid = int((tmp_path / "pid").read_text())
    await example.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not (tmp_path / "pid").exists()


async def test_a_step_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="the set-up ended with status 1: no such table"):
        await run_to_end("the set-up", ["sh", "-c", "echo no such table; exit 1"], tmp_path / "log")


async def test_a_step_that_is_cancelled_leaves_no_process(tmp_path: Path) -> None:
    script = f"echo $$ > {tmp_path}/pid.new; mv {tmp_path}/pid.new {tmp_path}/pid; exec sleep 60"
    step = asyncio.create_task(run_to_end("the set-up", ["sh", "-c", script], tmp_path / "log"))
    await until((tmp_path / "pid").exists, "it is under way")
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
