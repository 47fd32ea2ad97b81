"""The guest agent's protocol on its socket (QEMU Guest Agent Protocol Reference).

The other end is a guest: whatever it sends is read with a limit, and nonsense is no answer.
"""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

# Bytes of one line; the answers that are asked for here are short.
LINE_LIMIT = 64 * 1024
# Seconds until an agent that refused a password is asked again.
ASK_AGAIN = 1.0


class GuestAgent:
    """Asks one guest's agent, one conversation at a time. The caller sets the time limit: silence has no end.

    Every call raises OSError or EOFError when QEMU closes the connection.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._busy = asyncio.Lock()

    async def ping(self) -> None:
        """Return once the agent has answered."""
        async with self._conversation() as (reader, writer):
            _send(writer, "guest-ping")
            await _answer(reader)

    async def shut_down(self) -> None:
        """Ask the guest to power itself off. An agent answers only where it can't; that is not waited for."""
        async with self._conversation() as (_, writer):
            _send(writer, "guest-shutdown", mode="powerdown")
            await writer.drain()

    async def freeze(self) -> bool:
        """Whether the guest's file systems are frozen now. Not every agent can do that."""
        return await self._does("guest-fsfreeze-freeze")

    async def thaw(self) -> bool:
        return await self._does("guest-fsfreeze-thaw")

    async def set_password(self, user: str, password: str) -> None:
        """Return once the agent has set it. One that refuses is asked again: where cloud-init is no part of
        the early boot (its cloud-init.service, on Fedora and its kin), the user is made after the agent's
        start. What it says is the guest's, and is told to nobody: it may well contain the password.
        """
        encoded = base64.b64encode(password.encode()).decode()
        asked = {"username": user, "password": encoded, "crypted": False}
        while not await self._does("guest-set-user-password", **asked):  # noqa: ASYNC110  Nothing tells of a user.
            await asyncio.sleep(ASK_AGAIN)

    async def _does(self, command: str, **arguments: object) -> bool:
        async with self._conversation() as (reader, writer):
            _send(writer, command, **arguments)
            return "return" in await _message(reader)

    @asynccontextmanager
    async def _conversation(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection on which all that was left of earlier conversations has been read away.

        The fresh number of guest-sync tells the answer of the agent that runs now from any older one.
        """
        async with self._busy:
            reader, writer = await asyncio.open_unix_connection(self._socket, limit=LINE_LIMIT)
            try:
                number = secrets.randbelow(2**31)
                _send(writer, "guest-sync", id=number)
                while await _answer(reader) != number:
                    pass
                yield reader, writer
            finally:
                writer.close()


def _send(writer: asyncio.StreamWriter, command: str, **arguments: object) -> None:
    message = {"execute": command, "arguments": arguments} if arguments else {"execute": command}
    writer.write(json.dumps(message).encode() + b"\n")


async def _answer(reader: asyncio.StreamReader) -> Any:
    """The value of the next `return`; lines that hold none are passed over."""
    while True:
        message = await _message(reader)
        if "return" in message:
            return message["return"]


async def _message(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The next answer, `return` or `error`; nonsense is passed over."""
    while True:
        try:
            line = await reader.readline()
            if not line:
                raise EOFError
            message = json.loads(line.lstrip(b"\xff"))
        except (ValueError, RecursionError):
            continue
        if isinstance(message, dict) and message.keys() & {"return", "error"}:
            return message
