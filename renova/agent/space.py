"""The free space of the file system that holds the state directory: how much there has to be, and what goes
when there is too little.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from oslo_config import cfg

from renova.errors import DiskFull

log = logging.getLogger(__name__)
T = TypeVar("T")
MIB = 1024**2
Reclaimer = Callable[[], Awaitable[bool]]
"""Frees the next piece of its kind, and returns whether there was one."""


class Space:
    """Uses state_path and [agent] reserve_mb. Reclaimers are asked in their order: each until it has nothing
    left or there is enough.
    """

    def __init__(self, conf: cfg.ConfigOpts, reclaimers: tuple[Reclaimer, ...]) -> None:
        self._directory = Path(conf.state_path)
        self._reserve = conf.agent.reserve_mb * MIB
        self._reclaimers = reclaimers
        self._reclaiming = asyncio.Lock()

    def available(self) -> int:
        """Bytes that an unprivileged process (QEMU is one) may still write."""
        # The kernel knows it: to ask takes a tenth of the time that a thread would.
        figures = os.statvfs(self._directory)
        return figures.f_bavail * figures.f_frsize

    async def ensure(self, need: int) -> None:
        """There are `need` bytes beyond the reserve, freed where they have to be. Raises DiskFull."""
        if not await self.reclaim(self._reserve + need):
            left = self.available() // MIB
            raise DiskFull(
                f"The host's disk has {left} MiB left: too little for {_mib(need)} MiB "
                f"and the {_mib(self._reserve)} MiB that are kept free."
            )

    async def with_room(self, need: int, write: Callable[[], Awaitable[T]]) -> T:
        """Do what writes `need` bytes or so; where the disk fills up meanwhile, once more after room was
        made. Raises DiskFull.

        `write` leaves no unfinished file when it fails: that is the first space to be had again.
        """
        try:
            return await write()
        except DiskFull as error:
            log.warning("%s Making room.", error)
        await self.reclaim(self._reserve + need)
        return await write()

    async def reclaim(self, wanted: int) -> bool:
        """Free until `wanted` bytes are available; whether they are."""
        if self.available() >= wanted:
            return True
        async with self._reclaiming:
            for reclaimer in self._reclaimers:
                while self.available() < wanted and await reclaimer():
                    pass
            return self.available() >= wanted


def _mib(size: int) -> int:
    """Rounded up."""
    return -(-size // MIB)
