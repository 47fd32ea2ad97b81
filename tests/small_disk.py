"""A disk that is full soon: a tmpfs of a few MiB."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(mebibytes: int) -> Iterator["SmallDisk"]:
    """Mounted where others may pass through. Skips the test where nothing may be mounted."""
    with tempfile.TemporaryDirectory(prefix="renova-") as directory:
        size = f"size={mebibytes}m,mode=0711"
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", size, "tmpfs", directory],
            capture_output=True,
            text=True,
            check=False,
        )
        if mounted.returncode:
            pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
        try:
            yield SmallDisk(Path(directory))
        finally:
            subprocess.run(["umount", "--lazy", directory], check=True)


class SmallDisk:
    """`path` is its root. `hog` takes space, `release` gives it back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._hog = path / "hog"

    def free(self) -> int:
        """Bytes."""
        figures = os.statvfs(self.path)
        return figures.f_bavail * figures.f_frsize

    def hog(self, leave: int = 0) -> None:
        """Take all but `leave` bytes, whatever else is written meanwhile."""
        with self._hog.open("ab") as file:
            while (size := self.free() - leave) > 0:
                os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)

    def release(self) -> None:
        self._hog.unlink()
