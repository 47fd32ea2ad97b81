"""The QMP connection of one machine, over the official library.

QEMU 7.2 reads its monitor byte by byte, each in a turn of its main loop, which takes 4 us (measured). So what
is sent is short.
"""
# ruff: noqa: ASYNC109  The time limits here become errors with a sentence.

import asyncio
import itertools
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from qemu.qmp import ConnectError, Message, QMPClient, QMPError
from qemu.qmp.qmp_client import NegotiationError

from renova.errors import RenovaError

# A loaded host may take seconds; a QEMU that answers nothing for so long is stuck.
TIMEOUT = 10.0
AGAIN = 0.02

# The library logs as an error what it raises anyway, and we say it with the name of the server.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)

Event = Mapping[str, Any]
Command = tuple[str, Mapping[str, object]]
"""A name and its arguments."""


class _Client(QMPClient):
    """Makes no text of every message for a log that nobody keeps: that was a third of a message's cost. Its
    messages have shorter ids than the library's.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ids = itertools.count()

    def _get_exec_id(self) -> str:
        return str(next(self._ids))

    def _cb_outbound(self, msg: Message) -> Message:
        return msg

    def _cb_inbound(self, msg: Message) -> Message:
        return msg


class Monitor:
    """One monitor, which serves one client at a time. `on_event` is called with each event as it comes."""

    def __init__(self, socket: Path, on_event: Callable[[Event], None]) -> None:
        def consume(event: Event) -> bool:
            on_event(event)
            return False  # Else the library keeps each event for ever, and a guest that resets fills memory.

        self._socket = socket
        self._client = _Client()
        # The library breaks when it is told to disconnect while it does so by itself.
        self._changing = asyncio.Lock()
        self._client.events.event_filter = consume

    async def connect(self, timeout: float) -> None:
        """Connect and negotiate. Raises RenovaError when there is no QEMU, or none that answers in time."""
        try:
            async with self._changing, asyncio.timeout(timeout):
                while not await self._negotiated():  # noqa: ASYNC110  Nothing tells when it is ready.
                    await asyncio.sleep(AGAIN)
        except TimeoutError as error:
            raise RenovaError(f"QEMU's monitor did not answer within {timeout:.0f} seconds") from error
        except (QMPError, OSError) as error:
            raise RenovaError(f"QEMU's monitor does not answer: {error}") from error

    async def _negotiated(self) -> bool:
        """False where QEMU has answered something else: what it was asked by the client before, an agent that
        was killed a moment ago.
        """
        try:
            await self._client.connect(str(self._socket))
        except ConnectError as error:
            if isinstance(error.exc, NegotiationError):
                return False
            raise
        else:
            return True

    async def execute(
        self, command: str, arguments: Mapping[str, object] | None = None, timeout: float = TIMEOUT
    ) -> Any:
        """What QEMU answers. Raises RenovaError with its own sentence, or when it is gone or stuck."""
        try:
            async with asyncio.timeout(timeout):
                return await self._client.execute(command, arguments)
        except TimeoutError as error:
            raise RenovaError(f"QEMU did not answer {command} within {timeout:.0f} seconds") from error
        except (QMPError, OSError, EOFError) as error:
            raise RenovaError(f"QEMU refused {command}: {error}") from error

    async def execute_all(self, *commands: Command) -> list[Any]:
        """What QEMU answers to several commands that are sent at once: on a busy host each wait is long.

        They are carried out in this order, and those after one that is refused too. Raises what `execute`
        would for the first that failed.
        """
        executing = (self.execute(command, arguments) for command, arguments in commands)
        answers = await asyncio.gather(*executing, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers

    async def hand_over(self, descriptor: int) -> int:
        """Give QEMU an open file; returns the number of the set that it is the only member of. Raises
        RenovaError.
        """
        self._send(descriptor)
        return int((await self.execute("add-fd"))["fdset-id"])

    async def give(self, descriptor: int, name: str) -> None:
        """Give QEMU a descriptor for a later command that takes its `name`. Raises RenovaError."""
        self._send(descriptor)
        await self.execute("getfd", {"fdname": name})

    def _send(self, descriptor: int) -> None:
        try:
            self._client.send_fd_scm(descriptor)
        except (QMPError, OSError) as error:
            raise RenovaError(f"QEMU takes no file: {error}") from error

    async def close(self) -> None:
        """Disconnect. The library complains later about a connection that broke and was not closed."""
        with suppress(QMPError, OSError, EOFError):
            async with self._changing:
                await self._client.disconnect()
