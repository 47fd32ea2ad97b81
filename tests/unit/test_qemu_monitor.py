"""QEMU's monitor, played by a server of the test."""

import asyncio
import json
from pathlib import Path

import pytest

from renova.agent.qemu.monitor import Monitor
from renova.errors import RenovaError

Answer = dict[str, object]
GREETING: Answer = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 22}}, "capabilities": []}}
STALE: Answer = {"id": "7", "error": {"class": "CommandNotFound", "desc": "what the client before has asked"}}


async def serve(socket: Path, answers: list[Answer]) -> asyncio.Server:
    """Each client is greeted, and its first message has the next of `answers`; the last is repeated."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(json.dumps(GREETING).encode() + b"\n")
        # A message of the library's ends without a line's end.
        await reader.readuntil(b"}")
        writer.write(json.dumps(answers[0]).encode() + b"\n")
        if len(answers) > 1:
            del answers[0]
        await reader.read()
        writer.close()

    return await asyncio.start_unix_server(talk, socket)


async def test_an_answer_that_is_the_last_clients_is_no_reason_to_give_up(tmp_path: Path) -> None:
    answers: list[Answer] = [STALE, STALE, {"return": {}}]
    async with await serve(tmp_path / "qmp", answers):
        monitor = Monitor(tmp_path / "qmp", lambda _: None)
        await monitor.connect(10)
        assert answers == [{"return": {}}]
        await monitor.close()


async def test_a_monitor_that_never_agrees_is_given_up_in_time(tmp_path: Path) -> None:
    async with await serve(tmp_path / "qmp", [STALE]):
        monitor = Monitor(tmp_path / "qmp", lambda _: None)
        with pytest.raises(RenovaError, match="did not answer within 1 seconds"):
            await monitor.connect(1)


async def test_where_nobody_listens_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(RenovaError, match="does not answer"):
        await Monitor(tmp_path / "qmp", lambda _: None).connect(600)
