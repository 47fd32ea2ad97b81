"""The base images of one host: read-only files that every root disk of that content lies on.

A file is named by the hash of its bytes, so it can be trusted for ever once it has its name: it was hashed
and inspected before. Its row in `cached_images` is written after it, and made again where it is missing.
"""

import asyncio
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from weakref import WeakValueDictionary

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from renova.agent.files import PART, in_thread, part_of, settle
from renova.clients.glance import Glance
from renova.db.session import Sessions
from renova.db.tables import CachedImage
from renova.errors import ImageUnacceptable
from renova.image import HEAD_SIZE, inspect_head

Progress = Callable[[int, int], None]
"""Called in the event loop with the bytes that are here and the bytes of the whole image."""


@dataclass(frozen=True)
class CachedBase:
    """A whole, verified base image. `disk_format` is "qcow2" or "raw", `virtual_size` in bytes."""

    path: Path
    disk_format: str
    virtual_size: int


@dataclass(frozen=True)
class _Wanted:
    """An image as a generation names it."""

    image_id: str
    digest: str
    disk_format: str
    size: int


@dataclass(frozen=True)
class _Fetch:
    """One attempt, and all who wait for it."""

    task: asyncio.Task[CachedBase]
    listeners: list[Progress]


class ImageCache:
    """`directory` belongs to the cache alone. Two agents never share one."""

    def __init__(self, directory: Path, host: str, sessions: Sessions, glance: Glance) -> None:
        self._directory = directory
        self._host = host
        self._sessions = sessions
        self._glance = glance
        self._fetches: dict[_Wanted, _Fetch] = {}
        self._writers: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def clean(self) -> None:
        """Remove what a killed agent left half-fetched, and rows whose file is gone. To be called first."""
        names = await in_thread(_clean, self._directory)
        async with self._sessions.begin() as session:
            for row in await session.scalars(select(CachedImage).where(CachedImage.host == self._host)):
                if _name_of(row.digest, row.disk_format) not in names:
                    await session.delete(row)

    async def ensure(
        self, image_id: str, digest: str, disk_format: str, size: int, *, progress: Progress
    ) -> CachedBase:
        """The base image with this digest ("sha512:<hex>") and `size` in bytes, fetched if it is not here.

        However many ask at once, it is fetched once, and given up only when the last of them is cancelled.
        Raises ImageUnacceptable (not the bytes that were promised, or not fit for QEMU), ImageNotFound,
        Unavailable, DiskFull; nothing is left of the attempt then.
        """
        wanted = _Wanted(image_id, digest, disk_format, size)
        fetch = self._fetches.get(wanted)
        if fetch is None:
            listeners: list[Progress] = []
            fetch = _Fetch(asyncio.create_task(self._obtain(wanted, listeners)), listeners)
            self._fetches[wanted] = fetch
        fetch.listeners.append(progress)
        try:
            return await asyncio.shield(fetch.task)
        finally:
            fetch.listeners.remove(progress)
            if not fetch.listeners:
                # Whoever comes now starts anew, and waits at the writers' lock until this attempt has ended.
                del self._fetches[wanted]
                fetch.task.cancel()
                await asyncio.gather(fetch.task, return_exceptions=True)

    async def _obtain(self, wanted: _Wanted, listeners: list[Progress]) -> CachedBase:
        path = self._directory / _name_of(wanted.digest, wanted.disk_format)
        # Two images with the same bytes are one file. Each is tried on its own: an image of one project that
        # does not hold what its digest says must not fail a server of another project.
        async with self._writers.setdefault(wanted.digest, asyncio.Lock()):
            if not await in_thread(_is_whole, path, wanted.size):
                await self._fetch(wanted, path, listeners)
            virtual_size = await in_thread(_inspect, path, wanted)
            await self._remember(wanted, virtual_size)
        return CachedBase(path, wanted.disk_format, virtual_size)

    async def _fetch(self, wanted: _Wanted, path: Path, listeners: list[Progress]) -> None:
        algorithm, _, digest = wanted.digest.partition(":")
        content = hashlib.new(algorithm)
        received = 0
        with part_of(path, f"image {wanted.image_id}") as part, part.open("wb") as file:
            # A disk that is too small is noticed now, not after some gigabytes.
            await in_thread(os.posix_fallocate, file.fileno(), 0, wanted.size)
            async with self._glance.download(wanted.image_id) as chunks:
                async for chunk in chunks:
                    received += len(chunk)
                    if received > wanted.size:
                        break
                    await in_thread(_append, file, content, chunk)
                    for listener in listeners:
                        listener(received, wanted.size)
            if received != wanted.size or content.hexdigest() != digest:
                raise ImageUnacceptable(wanted.image_id, "Image data does not match its size and hash")
            file.flush()
            await in_thread(_inspect, part, wanted)
            await in_thread(settle, part, path, mode=0o444)

    async def _remember(self, wanted: _Wanted, virtual_size: int) -> None:
        facts = {"disk_format": wanted.disk_format, "size": wanted.size, "virtual_size": virtual_size}
        async with self._sessions.begin() as session:
            await session.execute(
                insert(CachedImage)
                .values(host=self._host, digest=wanted.digest, **facts)
                .on_conflict_do_update(
                    index_elements=["host", "digest"], set_={**facts, "used_at": func.now()}
                )
            )


def _name_of(digest: str, disk_format: str) -> str:
    return f"{digest.replace(':', '-')}.{disk_format}"


def _clean(directory: Path) -> set[str]:
    """Make the directory and remove stale parts from it. Returns the names of the files that are there."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for part in directory.glob(f"*{PART}"):
        part.unlink()
    return {path.name for path in directory.iterdir()}


def _is_whole(path: Path, size: int) -> bool:
    return path.exists() and path.stat().st_size == size


def _append(file: BinaryIO, content: "hashlib._Hash", chunk: bytes) -> None:
    file.write(chunk)
    content.update(chunk)


def _inspect(path: Path, wanted: _Wanted) -> int:
    with path.open("rb") as file:
        head = file.read(HEAD_SIZE)
    return inspect_head(wanted.image_id, head, disk_format=wanted.disk_format, size=wanted.size)
