"""The code that QEMU has translated for its guest, where there is no KVM, and how to make QEMU forget it.

QEMU keeps it over a reset, and whoever writes to a page of memory that such code came from waits until QEMU
has taken the code out, piece by piece: a new system boots in twice the time (docs/decisions/0012). No command
of the monitor drops it. QEMU itself drops all of it where a debugger's step has stopped the guest
(`gdb_vm_state_change`). So the guest is made to do one step under QEMU's own gdb server, which has one
client, us, on a pair of sockets that nobody else can open, and is gone again after some tenths of a
millisecond. Source: QEMU's documentation, "GDB usage"; GDB's remote serial protocol.
"""

import asyncio
import re
import socket

from renova.agent.qemu.monitor import Monitor
from renova.errors import RenovaError

# A firmware and a boot loader are 1 to 2 MiB for QEMU, a Linux that has come up is more than a hundred.
MUCH = 16 * 1024**2
DEBUGGER = "debugger"
# "Do one step", and what the gdb server says once it is done: the guest has stopped (5: SIGTRAP).
STEP, STOPPED = b"$s#73", b"$T05"
PATIENCE = 10.0


async def forget(monitor: Monitor) -> None:
    """Make QEMU drop all translated code. Its guest must stand still after a reset: it does the first step of
    its firmware. Under KVM there is nothing to drop.

    Raises RenovaError, also where QEMU has kept its code after all. The guest may be running then.
    """
    if (await monitor.execute("query-kvm"))["enabled"]:
        return
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            await monitor.give(theirs.fileno(), DEBUGGER)
        ours.setblocking(False)
        ours.send(STEP)
        address = {"type": "fd", "data": {"str": DEBUGGER}}
        backend = {"type": "socket", "data": {"addr": address, "server": False}}
        await monitor.execute_all(
            ("chardev-add", {"id": DEBUGGER, "backend": backend}),
            ("human-monitor-command", {"command-line": f"gdbserver chardev:{DEBUGGER}"}),
        )
        await _wait_until_stopped(ours)
        # The gdb server ends, and its chardev with it.
        _, told = await monitor.execute_all(
            *(("human-monitor-command", {"command-line": line}) for line in ("gdbserver none", "info jit"))
        )
    if (left := _size(told)) > MUCH:
        raise RenovaError(f"QEMU keeps {left // 1024**2} MiB of translated code")


async def size(monitor: Monitor) -> int:
    """Bytes of code that QEMU has translated; 0 under KVM. Raises RenovaError where QEMU can't say."""
    return _size(await monitor.execute("human-monitor-command", {"command-line": "info jit"}))


def _size(told: str) -> int:
    # Under KVM the answer is a sentence that says so.
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
