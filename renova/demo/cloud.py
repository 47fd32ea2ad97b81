"""The cloud that the demo runs on: `renova up` as a child process, stopped again whatever happens."""

import asyncio
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from renova.cloud.down import down
from renova.cloud.errors import CloudError
from renova.cloud.state import PORTS, State
from renova.demo.errors import DemoError
from renova.demo.progress import Progress

# Away from the ports of a cloud that may already run here, and below those that the kernel gives to clients.
OFFSETS = range(11000, 21000, 100)
# Seconds: between looks at a file, and for a service to end.
POLL, PATIENCE = 0.1, 30.0


def free_port_offset() -> int:
    """An offset at which every port of the cloud is free now. Raises DemoError."""
    for offset in OFFSETS:
        if all(_is_free(port + offset) for port in PORTS.values()):
            return offset
    raise DemoError("no free ports; choose with --port-offset")


@asynccontextmanager
async def running(state: State, progress: Progress) -> AsyncIterator[None]:
    """A cloud in `state` that answers. Raises DemoError if it does not come up; what it said stands above."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "renova.cli", "up"),
        *("--state", str(state.path), "--port-offset", str(state.port_offset)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        # Ctrl-C is for the demo: it still needs the cloud to clean up.
        start_new_session=True,
    )
    assert process.stdout is not None
    relay = asyncio.create_task(_relay(process.stdout, progress))
    try:
        async with progress.during("starting PostgreSQL, Keystone, Glance, the API and the agent"):
            while not state.ready.exists():
                if process.returncode is not None:
                    await relay
                    raise DemoError(f"`renova up` ended with status {process.returncode}")
                await asyncio.sleep(POLL)
        yield
    finally:
        await _stop(state, process)
        await relay


async def _relay(lines: asyncio.StreamReader, progress: Progress) -> None:
    async for line in lines:
        progress.say(line.decode(errors="replace").rstrip())


async def _stop(state: State, process: asyncio.subprocess.Process) -> None:
    try:
        await asyncio.to_thread(down, state)
    except CloudError:
        # It has no configuration yet, or it does not end when it is asked to.
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), PATIENCE)
        except TimeoutError:
            process.kill()
    await process.wait()
    shutil.rmtree(state.run_path, ignore_errors=True)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
