"""Programs of the host that an agent runs to their end."""

import asyncio
import os
from pathlib import Path

from renova.errors import DiskFull, RenovaError

# mke2fs and mkswap are in /usr/sbin, where an ordinary user of Debian does not look for programs.
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


async def run(program: str, *arguments: str | Path) -> None:
    """Run a program. It is ended where the caller is cancelled.

    Raises DiskFull, or RenovaError with the program's own words or for one that is missing.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C", "PATH": PATH},
        )
    except FileNotFoundError:
        raise RenovaError(f"the program {program} is missing") from None
    try:
        _, words = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        said = words.decode(errors="replace").strip()
        if "No space left on device" in said:
            raise DiskFull(f"No space left on the host's disk: {said}")
        raise RenovaError(f"{program} {arguments[0]} failed: {said}")
