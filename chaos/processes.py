"""Processes of a cloud, found through /proc, and their violent end."""

import os
import select
import signal
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

PATIENCE = 20.0


def tree(root: int) -> list[int]:
    """A process and all below it, itself first."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((directory / "stat").read_text().rpartition(")")[2].split()[1])
            children[parent].append(int(directory.name))
    found = [root]
    for pid in found:
        found += children[pid]
    return found


def machines(run_path: Path, server_id: str = "") -> list[int]:
    """QEMU processes of the servers of a run directory, or of one of them."""
    directory = os.fsencode(run_path / "servers" / server_id)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (process / "cmdline").read_bytes()
            if b"qemu-system" in command and directory in command:
                found.append(int(process.name))
    return found


def runs(pid: int) -> bool:
    """Whether there is such a process, and it is not dead and only waits for its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def kill(pids: Iterable[int]) -> int:
    """kill -9, all before the first is waited for. Returns how many lived; all are gone then."""
    killed = []
    for pid in pids:
        with suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            killed.append(descriptor)
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    for descriptor in killed:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError("a process that was killed does not end")
        os.close(descriptor)
    return len(killed)
