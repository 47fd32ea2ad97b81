"""One QEMU process: started or found again, watched and killed through its pidfd.

A pid alone proves nothing: pids are reused, and `kill(pid, 0)` succeeds for a process that is dead but not
yet reaped. A pidfd names one process for ever and becomes readable within a millisecond of its end.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from renova.errors import RenovaError


@dataclass(frozen=True)
class Identity:
    """Whom QEMU runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


def spawn(
    arguments: Sequence[str], *, output: int, descriptors: Sequence[int], identity: Identity | None
) -> int:
    """Start a program in a session of its own, as `identity` from its first instruction on; returns its pid.

    It inherits `descriptors` and nothing else of ours; its standard output and error go to `output`. Blocks
    until the program runs. Raises RenovaError where it can't be started.
    """
    try:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=descriptors,
            start_new_session=True,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            umask=0o077,
            user=identity.uid if identity else None,
            group=identity.gid if identity else None,
            extra_groups=identity.groups if identity else None,
        )
    except OSError as error:
        raise RenovaError(f"{arguments[0]} can't be started: {error}") from error
    # From here on a pidfd is asked how the process fares; Popen would complain that it outlives us.
    process.returncode = 0
    return process.pid


class Process:
    """A process that exists when this object is made. Belongs to the running event loop."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self._pidfd = pidfd
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[str] = self._loop.create_future()
        self._loop.add_reader(pidfd, self._note_end)

    @classmethod
    def find(cls, pid: int, argument: str) -> Self | None:
        """The process with this pid, if its arguments contain `argument`; else it is somebody else's."""
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return None
        # Read after the pidfd was opened: were the pid reused in between, the arguments would be another's.
        with suppress(OSError):
            if argument in Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace"):
                return cls(pid, pidfd)
        os.close(pidfd)
        return None

    def kill(self) -> None:
        if not self.ended.done():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def let_go(self) -> None:
        """Stop watching; the process runs on. `ended` stays open for ever."""
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _note_end(self) -> None:
        reason = self._exit_reason()
        self.let_go()
        if not self.ended.done():
            self.ended.set_result(reason)

    def _exit_reason(self) -> str:
        """Only the parent is told how a process ended: one that an earlier agent started just did."""
        with suppress(ChildProcessError):
            result = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
            if result and result.si_code == os.CLD_EXITED:
                return f"QEMU exited with status {result.si_status}"
            if result:
                return f"QEMU was killed by signal {result.si_status}"
        return "QEMU ended"
