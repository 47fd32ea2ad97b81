"""The conversation with a guest's agent, which may be absent, stale or hostile."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import NotRequired, TypedDict

import pytest

from renova.agent.qemu import guest_agent
from renova.agent.qemu.guest_agent import GuestAgent


class Message(TypedDict):
    """A command to the agent."""

    execute: str
    arguments: NotRequired[dict[str, str | int]]


Answer = Callable[[Message], bytes]
Listen = Callable[[Answer], AbstractAsyncContextManager[GuestAgent]]


@pytest.fixture
def listening(open_directory: Path) -> Listen:
    @asynccontextmanager
    async def listen(answer: Answer) -> AsyncIterator[GuestAgent]:
        serving: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            serving.add(task)
            while line := await reader.readline():
                writer.write(answer(json.loads(line)))
            writer.close()

        path = open_directory / "qga.sock"
        async with await asyncio.start_unix_server(serve, path):
            yield GuestAgent(path)
            await asyncio.gather(*serving)
        path.unlink()

    return listen


def returning(message: Message) -> bytes:
    value: object = message["arguments"]["id"] if message["execute"] == "guest-sync" else {}
    return json.dumps({"return": value}).encode() + b"\n"


async def answers(agent: GuestAgent, ask: Callable[[GuestAgent], Awaitable[None]] = GuestAgent.ping) -> bool:
    try:
        async with asyncio.timeout(0.3):
            await ask(agent)
    except TimeoutError:
        return False
    return True


async def test_an_agent_that_answers_is_there(listening: Listen) -> None:
    async with listening(returning) as agent:
        assert await answers(agent)
        assert await answers(agent)


async def test_an_answer_to_an_older_question_is_no_answer(listening: Listen) -> None:
    def stale(message: Message) -> bytes:
        return b'{"return": 1}\n' if message["execute"] == "guest-sync" else returning(message)

    async with listening(stale) as agent:
        assert not await answers(agent)


async def test_what_was_left_over_is_passed_over(listening: Listen) -> None:
    def after_leftovers(message: Message) -> bytes:
        return b'{"return": {}}\n\xff{"return": 7}\n' + returning(message)

    async with listening(after_leftovers) as agent:
        assert await answers(agent)


@pytest.mark.parametrize(
    "nonsense",
    [b"hello\n", b"[]\n", b'{"error": {}}\n', b"[" * 30000 + b"\n", b"x" * 200_000 + b"\n", b"\xc3\x28\n"],
)
async def test_nonsense_is_no_answer_and_does_no_harm(listening: Listen, nonsense: bytes) -> None:
    async with listening(lambda _: nonsense) as agent:
        assert not await answers(agent)
    async with listening(lambda message: nonsense + returning(message)) as agent:
        assert await answers(agent)


async def test_a_shutdown_is_sent_and_its_silence_is_fine(listening: Listen) -> None:
    seen = []

    def note(message: Message) -> bytes:
        seen.append(message["execute"])
        return returning(message) if message["execute"] == "guest-sync" else b""

    async with listening(note) as agent:
        assert await answers(agent, GuestAgent.shut_down)
        async with asyncio.timeout(5):
            while seen != ["guest-sync", "guest-shutdown"]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_a_password_is_sent_encoded_until_it_is_set_and_a_refusal_is_not_quoted(
    listening: Listen, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The user may be yet to be made."""
    caplog.set_level(logging.DEBUG)
    seen = []

    def refusing_twice(message: Message) -> bytes:
        if message["execute"] == "guest-sync":
            return returning(message)
        seen.append(message)
        refusal = b'{"error": {"class": "GenericError", "desc": "no user root: pa:ss"}}\n'
        return returning(message) if len(seen) > 2 else refusal

    monkeypatch.setattr(guest_agent, "ASK_AGAIN", 0.01)
    async with listening(refusing_twice) as agent:
        await agent.set_password("root", "pa:ss\u00e9\n")
    request = {
        "execute": "guest-set-user-password",
        "arguments": {"username": "root", "password": "cGE6c3PDqQo=", "crypted": False},
    }
    assert seen == [request] * 3
    assert "pa:ss" not in caplog.text


async def test_an_agent_that_can_freeze_and_one_that_cant(listening: Listen) -> None:
    def refusing(message: Message) -> bytes:
        if message["execute"] == "guest-sync":
            return returning(message)
        return b'{"error": {"class": "CommandNotFound", "desc": "disabled"}}\n'

    async with listening(returning) as agent:
        assert (await agent.freeze(), await agent.thaw()) == (True, True)
    async with listening(refusing) as agent:
        assert (await agent.freeze(), await agent.thaw()) == (False, False)
