"""Files of this host that are whole or absent, whenever the agent or the host is killed."""

import asyncio
import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from renova.errors import DiskFull, RenovaError

# Of ids, digests and what is made from them.
_PLAIN = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*")
P = ParamSpec("P")
T = TypeVar("T")
PART = ".part"


def plain(name: str) -> str:
    """The name, if it can't lead out of its directory. Raises RenovaError.

    What a database says names files of this host, and whoever can write there is not to reach any other.
    """
    if not _PLAIN.fullmatch(name):
        raise RenovaError(f"{name!r} is no name of a file here")
    return name


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """asyncio.to_thread whose caller, when cancelled, goes only after the thread has ended.

    So nobody still writes to a file, or renames it, when the next attempt begins.
    """
    work = asyncio.create_task(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    finally:
        while not work.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({work})


@contextmanager
def part_of(path: Path, what: str) -> Iterator[Path]:
    """A name beside `path` to write to; `settle` makes it `path`. What is not settled is removed.

    Something may be there still, from an agent that was killed. Raises DiskFull, naming `what`, where the
    disk is. There must be one writer of `path` at a time.
    """
    part = path.with_name(path.name + PART)
    try:
        yield part
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFull(f"No space left on the host's disk for {what}.") from error
        raise
    finally:
        part.unlink(missing_ok=True)


def settle(part: Path, path: Path, *, mode: int = 0o600) -> None:
    """Give a finished file its name. It is on the disk, content and name, when this returns."""
    part.chmod(mode)
    _sync(part)
    part.rename(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
