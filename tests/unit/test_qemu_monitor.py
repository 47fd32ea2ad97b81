"""QEMU's monitor, played by a server of the test."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from renova.agent.qemu.monitor import Monitor
from renova.errors import RenovaError

Answer = dict[str, object]
GREETING: Answer = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 22}}, "capabilities": []}}
STALE: Answer = {"id": "7", "error": {"class": "CommandNotFound", "desc": "what the client before has asked"}}


@asynccontextmanager
async def serving(socket: Path, answers: list[Answer]) -> AsyncIterator[Monitor]:
    """A monitor of a QEMU that greets each client, and answers its first message with the next of `answers`;
    the last is repeated. Nobody talks any more at the end.
    """
    talks: set[asyncio.Task[object] | None] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.current_task())
        writer.write(json.dumps(GREETING).encode() + b"\n")
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            # A message of the library's ends without a line's end.
            await reader.readuntil(b"}")
            writer.write(json.dumps(answers[0]).encode() + b"\n")
            if len(answers) > 1:
                del answers[0]
            await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    monitor = Monitor(socket, lambda _: None)
    async with await asyncio.start_unix_server(talk, socket):
        yield monitor
        await monitor.close()
    await asyncio.gather(*(task for task in talks if task))


async def test_an_answer_that_is_the_last_clients_is_no_reason_to_give_up(tmp_path: Path) -> None:
    answers: list[Answer] = [STALE, STALE, {"return": {}}]
    async with serving(tmp_path / "qmp", answers) as monitor:
        await monitor.connect(10)
        assert answers == [{"return": {}}]


async def test_a_monitor_that_never_agrees_is_given_up_in_time(tmp_path: Path) -> None:
    async with serving(tmp_path / "qmp", [STALE]) as monitor:
        with pytest.raises(RenovaError, match="did not answer within 1 seconds"):
            await monitor.connect(1)


async def test_where_nobody_listens_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(RenovaError, match="does not answer"):
        await Monitor(tmp_path / "qmp", lambda _: None).connect(600)
