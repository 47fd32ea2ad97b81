"""Doing things again: at intervals, and whenever the database was away."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from renova.db.session import DATABASE_AWAY

log = logging.getLogger(__name__)
T = TypeVar("T")
# Seconds between two tries while the database is away.
AWAY = 2
# Seconds after which an outage that goes on is told of again: a log may lie on the disk that is full.
SAY_AGAIN = 60.0


async def every(seconds: float, deed: Callable[[], Awaitable[object]]) -> None:
    """Do it now and again and again."""
    while True:
        await patiently(deed)
        await asyncio.sleep(seconds)


async def patiently(deed: Callable[[], Awaitable[T]]) -> T:
    """Do it, once more from its beginning whenever the database is away, or its disk is full."""
    said = -SAY_AGAIN
    while True:
        try:
            return await deed()
        except DATABASE_AWAY as error:
            if time.monotonic() >= said + SAY_AGAIN:
                said = time.monotonic()
                log.warning("The database is away: %s", getattr(error, "orig", error))
        await asyncio.sleep(AWAY)
