"""The passwords of the embedded cloud: random, one file each, readable by their owner only."""

import os
import secrets
from pathlib import Path

# Users of PostgreSQL, users of Keystone, and what the API shows the agent's own socket.
NAMES = (
    *("postgres", "database-keystone", "database-glance", "database-renova"),
    *("admin", "demo", "reader", "glance", "renova"),
    "agent",
)


def make_all(directory: Path) -> None:
    """Make every password that is not there yet."""
    directory.mkdir(mode=0o700, exist_ok=True)
    for name in NAMES:
        if not (directory / name).exists():
            write_private(directory / name, secrets.token_hex(24))


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody but its owner could ever read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    temporary.rename(path)
