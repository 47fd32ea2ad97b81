"""The code that QEMU has translated for its guest, where there is no KVM, and how to make QEMU forget it.

QEMU keeps it over a reset, and whoever writes to a page of memory that such code came from waits until QEMU
has taken the code out, piece by piece: a new system boots in twice the time (docs/decisions/0012). No command
of the monitor drops it. QEMU itself drops all of it where a debugger's step has stopped the guest
(`gdb_vm_state_change`). So the guest is made to do one step under QEMU's own gdb server, which has one
client, us, on a pair of sockets that nobody else can open, and is gone again after a millisecond or two.
Source: QEMU's documentation, "GDB usage"; GDB's remote serial protocol.
"""

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from renova.agent.qemu.monitor import Monitor
from renova.errors import RenovaError

# A firmware and a boot loader are 1 to 2 MiB for QEMU, a Linux that has come up is more than a hundred.
MUCH = 16 * 1024**2
# The name of socket and chardev: short, since each byte that QEMU's monitor reads takes its time.
DEBUGGER = "d"
# "Do one step", and what the gdb server says once it is done: the guest has stopped (5: SIGTRAP).
STEP, STOPPED = b"$s#73", b"$T05"
# Seconds.
PATIENCE, MOMENT = 10.0, 0.5

Forget = Callable[[], Awaitable[None]]


async def translates(monitor: Monitor) -> bool:
    """Whether this QEMU translates code for its guest: not under KVM."""
    return not (await monitor.execute("query-kvm"))["enabled"]


async def detach(monitor: Monitor) -> None:
    """Take away what an agent had prepared that was killed then."""
    await monitor.execute("chardev-remove", {"id": DEBUGGER})


@asynccontextmanager
async def forgetting(monitor: Monitor, *, code: bool) -> AsyncIterator[Forget]:
    """What makes QEMU drop all translated code, prepared while the guest still runs. It is to be called once,
    when the guest stands still after a reset: the guest does the first step of its firmware. Where there is
    no `code` (see `translates`), it does nothing.

    Both raise RenovaError, the second also where QEMU has kept its code after all. What the guest does then
    is not known.
    """
    if not code:
        yield _nothing
        return
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        with theirs:
            await monitor.give(theirs.fileno(), DEBUGGER)
        address = {"type": "fd", "data": {"str": DEBUGGER}}
        backend = {"type": "socket", "data": {"addr": address, "server": False}}
        await monitor.execute("chardev-add", {"id": DEBUGGER, "backend": backend})
        yield partial(_forget, monitor, ours)


async def _nothing() -> None:
    pass


async def _forget(monitor: Monitor, debugger: socket.socket) -> None:
    debugger.send(STEP)
    await _tell(monitor, f"gdbserver chardev:{DEBUGGER}")
    await _wait_until_stopped(debugger)
    # The gdb server ends, and its chardev with it.
    _, told = await _tell(monitor, "gdbserver none", "info jit")
    # A processor that sleeps drops the code when it wakes, which may be a moment later.
    deadline = time.monotonic() + MOMENT
    while (left := size(told)) > MUCH:
        if time.monotonic() > deadline:
            raise RenovaError(f"QEMU keeps {left // 1024**2} MiB of translated code")
        (told,) = await _tell(monitor, "info jit")


async def _tell(monitor: Monitor, *lines: str) -> list[str]:
    return await monitor.execute_all(*(("human-monitor-command", {"command-line": line}) for line in lines))


def size(told: str) -> int:
    """Bytes of translated code, by what QEMU tells of it ("info jit"); 0 where it tells nothing."""
    found = re.search(r"^gen code size\s+(\d+)", told, re.MULTILINE)
    return int(found[1]) if found else 0


async def _wait_until_stopped(debugger: socket.socket) -> None:
    said = b""
    try:
        async with asyncio.timeout(PATIENCE):
            while STOPPED not in said:
                heard = await asyncio.get_running_loop().sock_recv(debugger, 256)
                if not heard:
                    raise RenovaError("QEMU has hung up on the debugger")
                said += heard
    except TimeoutError as error:
        raise RenovaError(f"QEMU did no step within {PATIENCE:.0f} seconds") from error
