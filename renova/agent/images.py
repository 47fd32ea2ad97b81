"""The base images of one host: read-only files that every root disk of that content lies on.

A file is named by the hash of its bytes, so it can be trusted for ever once it has its name: it was hashed
and inspected before. Its row in `cached_images` is written after it, and made again where it is missing.
"""

import asyncio
import hashlib
import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO
from weakref import WeakValueDictionary

from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import insert

from renova.agent.files import PART, in_thread, part_of, plain, settle
from renova.clients.glance import Glance
from renova.db.session import Sessions
from renova.db.tables import CachedImage, Generation, Server
from renova.errors import ImageUnacceptable
from renova.image import HEAD_SIZE, inspect_head

log = logging.getLogger(__name__)
# `used_at` of a base is as exact as this, in seconds: a rebuild uses one several times.
NOTE_AGAIN = 60.0
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
class _Seen:
    """A base that was looked into: as long as `file` is what `_file` says of it, nobody has to do that again.
    Its row was written at `noted`, on time.monotonic's clock.
    """

    base: CachedBase
    file: tuple[int, ...]
    noted: float


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
        self._seen: dict[_Wanted, _Seen] = {}

    async def clean(self) -> None:
        """Remove what a killed agent left half-fetched, rows whose file is gone, and files that no row tells
        of and no server needs: they would never be evicted. To be called first.
        """
        names = await in_thread(_clean, self._directory)
        async with self._sessions.begin() as session:
            for row in await session.scalars(select(CachedImage).where(CachedImage.host == self._host)):
                name = _name_of(row.digest, row.disk_format)
                if name not in names:
                    await session.delete(row)
                names.discard(name)
            pinned = await session.execute(_pins(self._host))
            names -= {_name_of(digest, disk_format) for digest, disk_format in pinned}
        for name in names:
            await in_thread((self._directory / name).unlink)

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
        # One that has failed is not to be shared by who tries again.
        if fetch is None or fetch.task.done():
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
                if self._fetches[wanted] is fetch:
                    del self._fetches[wanted]
                fetch.task.cancel()
                await asyncio.gather(fetch.task, return_exceptions=True)

    def at_hand(self, image_id: str, digest: str, disk_format: str, size: int) -> CachedBase | None:
        """What `ensure` would return, where that is known without any work: most times it is."""
        seen = self._seen.get(_Wanted(image_id, digest, disk_format, size))
        writer = self._writers.get(digest)
        # Who holds the lock may be about to evict it.
        if seen is None or seen.noted + NOTE_AGAIN < time.monotonic() or (writer and writer.locked()):
            return None
        return seen.base if _file(seen.base.path) == seen.file else None

    def missing(self, digest: str, disk_format: str, size: int) -> int:
        """How many bytes of an image would have to be fetched."""
        path = self._directory / plain(_name_of(digest, disk_format))
        return 0 if _is_whole(path, size) else size

    async def evict(self) -> bool:
        """Remove the base image that was used the longest ago of those that no server has and nobody fetches;
        False where there is none.
        """
        async with self._sessions() as session:
            digests = list(await session.scalars(_unpinned(self._host).order_by(CachedImage.used_at)))
        for digest in digests:
            lock = self._writers.setdefault(digest, asyncio.Lock())
            # Whoever holds it is about to use the image. Who comes after us finds no file and fetches it.
            if not lock.locked():
                async with lock:
                    if await self._evict(digest):
                        return True
        return False

    async def _evict(self, digest: str) -> bool:
        """Unless a server has been given the image meanwhile. A row whose file is gone is no harm, if the
        commit fails.
        """
        async with self._sessions.begin() as session:
            row = await session.get(CachedImage, (self._host, digest), with_for_update=True)
            unpinned = await session.scalar(_unpinned(self._host).where(CachedImage.digest == digest))
            if row is None or unpinned is None:
                return False
            path = self._directory / plain(_name_of(digest, row.disk_format))
            self._seen = {wanted: seen for wanted, seen in self._seen.items() if wanted.digest != digest}
            await in_thread(path.unlink, missing_ok=True)
            await session.delete(row)
        log.info("%s is evicted", path.name)
        return True

    async def _obtain(self, wanted: _Wanted, listeners: list[Progress]) -> CachedBase:
        path = self._directory / plain(_name_of(wanted.digest, wanted.disk_format))
        # Two images with the same bytes are one file. Each is tried on its own: an image of one project that
        # does not hold what its digest says must not fail a server of another project.
        async with self._writers.setdefault(wanted.digest, asyncio.Lock()):
            if not await in_thread(_is_whole, path, wanted.size):
                await self._fetch(wanted, path, listeners)
            file, seen = _file(path), self._seen.get(wanted)
            if seen is None or seen.file != file:
                virtual_size = await in_thread(_inspect, path, wanted)
                seen = _Seen(CachedBase(path, wanted.disk_format, virtual_size), file, -math.inf)
            if seen.noted + NOTE_AGAIN < time.monotonic():
                await self._remember(wanted, seen.base)
                seen = replace(seen, noted=time.monotonic())
            self._seen[wanted] = seen
        return seen.base

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

    async def _remember(self, wanted: _Wanted, base: CachedBase) -> None:
        facts = {
            "disk_format": wanted.disk_format,
            "size": wanted.size,
            "virtual_size": base.virtual_size,
        }
        async with self._sessions.begin() as session:
            await session.execute(
                insert(CachedImage)
                .values(host=self._host, digest=wanted.digest, **facts)
                .on_conflict_do_update(
                    index_elements=["host", "digest"], set_={**facts, "used_at": func.now()}
                )
            )


def _pins(host: str) -> Select[str, str]:
    """Digest and disk_format of every image that a server of the host has or is to have."""
    return (
        select(Generation.digest, Generation.disk_format)
        .join(Server, Server.id == Generation.server_id)
        .where(Server.host == host)
    )


def _unpinned(host: str) -> Select[str]:
    pinned = _pins(host).where(Generation.digest == CachedImage.digest)
    return select(CachedImage.digest).where(CachedImage.host == host, ~pinned.exists())


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


def _file(path: Path) -> tuple[int, ...]:
    """What tells the file from any that was there before it, or is written to."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _append(file: BinaryIO, content: "hashlib._Hash", chunk: bytes) -> None:
    file.write(chunk)
    content.update(chunk)


def _inspect(path: Path, wanted: _Wanted) -> int:
    with path.open("rb") as file:
        head = file.read(HEAD_SIZE)
    return inspect_head(wanted.image_id, head, disk_format=wanted.disk_format, size=wanted.size)
