"""A log that QEMU appends to and the agent keeps short."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Bytes above which a log is shortened, and what then stays. A guest writes about 1 MB a second at most, so a
# log that is looked at every BOUND_INTERVAL seconds stays below 1 MiB.
LIMIT = 512 * 1024
KEPT = 256 * 1024
BOUND_INTERVAL = 0.25


class BoundedLog:
    """A file that its writer opened with O_APPEND, so that it goes on at the new end of a shortened file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def tail(self, lines: int | None) -> str:
        """The newest lines, all where None; "" where there is no log.

        Lines are counted as Nova counts them: what follows the last newline is one, even if it is empty.
        """
        try:
            with self._locked(os.O_RDONLY, fcntl.LOCK_SH) as file:
                text = os.pread(file, os.fstat(file).st_size, 0)
        except FileNotFoundError:
            return ""
        if lines is not None:
            text = b"\n".join(text.split(b"\n")[-lines:]) if lines else b""
        return text.decode(errors="replace")

    def shorten(self) -> None:
        """Keep the newest whole lines of a log that has grown too long.

        QEMU writes on meanwhile. What it adds before the second read is kept; what it adds in the
        microseconds between that and the truncation is lost.
        """
        try:
            if self._path.stat().st_size <= LIMIT:
                return
            with self._locked(os.O_RDWR, fcntl.LOCK_EX) as file:
                size = os.fstat(file).st_size
                newest = os.pread(file, KEPT, size - KEPT)
                kept = newest[newest.find(b"\n") + 1 :]
                os.pwrite(file, kept, 0)
                added = os.pread(file, LIMIT, size)
                os.pwrite(file, added, len(kept))
                os.ftruncate(file, len(kept) + len(added))
        except FileNotFoundError:
            return

    def clear(self) -> None:
        """Begin anew. Its writer must not be writing."""
        with self._locked(os.O_RDWR, fcntl.LOCK_EX) as file:
            os.ftruncate(file, 0)

    @contextmanager
    def _locked(self, flags: int, lock: int) -> Iterator[int]:
        """The open file. The lock keeps a reader from seeing a log that is being shortened."""
        file = os.open(self._path, flags)
        try:
            fcntl.flock(file, lock)
            yield file
        finally:
            os.close(file)
