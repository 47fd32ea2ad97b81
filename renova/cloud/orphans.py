"""What an earlier `renova up` of the same state directory left running: services, virtual machines."""

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from renova.cloud.state import State

SERVICES = ("agent", "api", "glance", "keystone", "postgres")


def end_services(state: State) -> None:
    """End what a `renova up` that was killed left running, so that ports and locks are free. VMs live on."""
    pids = [_pid_of(state.pid_file(name), state.path) for name in SERVICES]
    # SIGINT: PostgreSQL takes SIGTERM as a request to wait for its clients; all the others stop by either.
    end([pid for pid in pids if pid], signal.SIGINT)


def virtual_machines(state: State) -> list[int]:
    """Process ids of the running virtual machines of this state directory."""
    found = (_pid_of(file, file.parent) for file in sorted(state.run_path.glob("servers/*/pid")))
    return [pid for pid in found if pid]


def end(pids: Iterable[int], signal_number: int, patience: float = 15.0) -> None:
    """End processes that are not our children: with the signal, and by force after `patience` seconds."""
    left = list(pids)
    deadline = time.monotonic() + patience
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal_number)
    while left := [pid for pid in left if _is_alive(pid)]:
        if time.monotonic() > deadline:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _pid_of(file: Path, named: Path) -> int | None:
    """The process that a pid file names, if its command line shows that it still is the one."""
    try:
        pid = int(file.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if os.fsencode(named) in command else None


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
