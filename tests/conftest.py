"""What every tier of tests shares: a directory that unprivileged users can reach."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def open_directory() -> Iterator[Path]:
    """A short directory that other users may pass through.

    Not pytest's tmp_path: that is 0700, so PostgreSQL and QEMU, which run as users of their own, could not
    reach it, and it is too long for the path of a unix socket.
    """
    directory = Path(tempfile.mkdtemp(prefix="renova-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)
