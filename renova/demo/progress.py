"""What the demo says while it works: one line each, with the seconds since its start."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

HEARTBEAT = 10.0


class Progress:
    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def say(self, text: str) -> None:
        # In one piece with its end: threads say things too.
        print(f"[{self.seconds:5.1f} s] {text}\n", end="", flush=True)

    @asynccontextmanager
    async def during(self, what: str) -> AsyncIterator[None]:
        """Say `what` at the start, and every ten seconds that it is still so."""
        self.say(what)
        heartbeat = asyncio.create_task(self._beat(what))
        try:
            yield
        finally:
            heartbeat.cancel()

    async def _beat(self, what: str) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            self.say(f"... still {what}")
