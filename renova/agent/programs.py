"""Programs of the host that an agent runs to their end, some of them over what a stranger has made."""

import asyncio
import os
import shutil
import signal
from pathlib import Path

from renova.errors import DiskFull, RenovaError

# mke2fs and mkswap are in /usr/sbin, where an ordinary user of Debian does not look for programs.
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


# Bytes of memory, as Nova's limit for qemu-img, and seconds of a processor.
MEMORY = 1024**3
CPU = 60
# For what copies a disk: no honest one takes so long.
CPU_OF_A_COPY = 6 * 3600


async def run(program: str, *arguments: str | Path, cpu: int = CPU) -> None:
    """Run a program, with MEMORY bytes and `cpu` seconds of a processor at most. It is ended where the caller
    is cancelled.

    Raises DiskFull, or RenovaError with the program's own words, for one that is missing or took too much.
    """
    if shutil.which(program, path=PATH) is None:
        raise RenovaError(f"the program {program} is missing")
    try:
        process = await asyncio.create_subprocess_exec(
            *("prlimit", f"--as={MEMORY}", f"--cpu={cpu}:{cpu + 1}", "--core=0", "--"),
            program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C", "PATH": PATH},
        )
    except FileNotFoundError:
        raise RenovaError("the program prlimit is missing") from None
    try:
        _, words = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode == -signal.SIGXCPU:
        raise RenovaError(f"{program} took more than {cpu} seconds of a processor")
    if process.returncode:
        said = words.decode(errors="replace").strip()
        if "No space left on device" in said:
            raise DiskFull(f"No space left on the host's disk: {said}")
        raise RenovaError(f"{program} {arguments[0]} failed: {said}")
