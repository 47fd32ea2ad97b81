"""The cloud that everything happens to, and what can happen to all of it at once."""

import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from chaos import processes
from chaos.orders import Orders
from renova.cloud.postgres import unprivileged_user
from renova.cloud.state import State
from tests.functional.shared_cloud import LOCAL, RENOVA, wait_until_ready
from tests.waiting import wait_until

# Little patience with guests that can't power themselves off, room for a whole batch at once.
RENOVA_CONF = """\
[DEFAULT]
state_path = {compute}
[compute]
shutdown_timeout = 1
concurrency = 40
[rebuild]
settle = 1
method = {method}
[agent]
reserve_mb = 1
[quota]
instances = 100
cores = 200
"""
DISK_MIB = 256
FILL_AGAIN = 0.01
CLONE_NEWNS = 0x20000  # unshare(2)
STRANGER = ("sleep", "3600")


@dataclass
class ChaosCloud:
    """A cloud with chaos' own agent. `home` holds the state directory and the log of the supervisor; `method`
    is `[rebuild] method`.
    """

    home: Path
    port_offset: int
    method: str = "auto"
    _process: subprocess.Popen[str] | None = field(default=None, init=False)
    _strangers: list[subprocess.Popen[bytes]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.state = State(self.home / "state", self.port_offset)
        self.orders = Orders(self.state.path / "chaos")
        self.log = self.home / "up.log"

    @property
    def compute(self) -> Path:
        """The agent's state_path."""
        return self.home / "compute"

    @property
    def database(self) -> str:
        return self.state.database_url("renova", "psycopg").replace("+psycopg", "")

    # --- its life

    def make(self) -> None:
        """A state directory with the settings of chaos, not started yet."""
        local = self.state.path / "local"
        local.mkdir(mode=0o711, parents=True)
        self.state.path.chmod(0o711)
        renova = RENOVA_CONF.format(compute=self.compute, method=self.method)
        for name, text in {**LOCAL, "renova": renova}.items():
            (local / f"{name}.conf").write_text(text)

    def start(self) -> None:
        options = ["--state", str(self.state.path), "--port-offset", str(self.port_offset)]
        command = ["setpriv", "--pdeathsig", "TERM", sys.executable, "-m", "chaos.up", *options]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, text=True)
        wait_until_ready(self.state.path, self._process, self.log)
        self.orders.make()

    def stop(self) -> None:
        """End all of it, virtual machines too."""
        if self._process is not None:
            subprocess.run(
                [*RENOVA, "down", "--state", str(self.state.path)], check=False, capture_output=True
            )
            self._process.wait(60)
        for stranger in self._strangers:
            stranger.kill()
            stranger.wait()

    # --- what is in it

    def query(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """Rows, however often the database has to be asked because it is away."""
        rows: list[dict[str, Any]] = []

        def ask() -> bool:
            try:
                with psycopg.connect(self.database, row_factory=dict_row, connect_timeout=5) as connection:
                    rows[:] = connection.execute(statement, values).fetchall()
            except psycopg.OperationalError:
                return False
            return True

        wait_until(ask, "the database answers")
        return rows

    # --- what happens to it: each says what was killed

    def kill_agent(self) -> str:
        return self._kill("agent", [self._pid("agent")])

    def kill_api(self) -> str:
        killed = self._kill("API", processes.tree(self._pid("api")))
        wait_until(self._api_answers, "the API answers again")
        return killed

    def kill_postgres(self) -> str:
        return self._kill("PostgreSQL", processes.tree(self._pid("postgres")))

    def kill_everything(self) -> str:
        """The supervisor first, so that it starts nothing again; then all that it started, and QEMU."""
        killed = self._kill_all()
        self.start()
        return killed

    def reboot(self) -> str:
        """As far as it can be played: nothing runs, every file is still there, and the pids that pid files
        name belong to a stranger by now.
        """
        killed = self._kill_all()
        # Of PostgreSQL's own user, which can't see from the pid alone that it is no server of its kind.
        stranger = subprocess.Popen(STRANGER, user=unprivileged_user())
        self._strangers.append(stranger)
        stale = [*self.state.path.glob("*.pid"), *self.state.run_path.glob("servers/*/pid")]
        for file in stale:
            file.write_text(f"{stranger.pid}\n")
        locks = self.state.run_path.glob("postgres/.s.PGSQL.*.lock")
        for lock in (self.state.path / "postgres" / "postmaster.pid", *locks):
            lines = lock.read_text().splitlines(keepends=True)
            lock.write_text("".join([f"{stranger.pid}\n", *lines[1:]]))
        self.start()
        if stranger.poll() is not None:
            raise RuntimeError("a stranger was killed for a pid that was somebody else's before")
        return f"{killed}; {len(stale)} pid files and PostgreSQL's locks name a stranger"

    @contextmanager
    def full_disk(self) -> Iterator[str]:
        """Inside, not one byte is left where the agent keeps its files: what is freed is taken at once."""
        file = self.compute / "filler"
        over = threading.Event()
        with file.open("wb") as filler:

            def fill_again() -> None:
                while not over.wait(FILL_AGAIN):
                    _fill(filler.fileno())

            thread = threading.Thread(target=fill_again)
            try:
                size = _fill(filler.fileno())
                thread.start()
                yield f"{size >> 20} MiB written, then ENOSPC"
            finally:
                over.set()
                thread.join()
                file.unlink()

    def _kill_all(self) -> str:
        assert self._process is not None
        # One that was killed a moment ago is waited for, so that the tree has it.
        pids = {service: self._pid(service) for service in ("agent", "api", "postgres")}
        services = processes.tree(self._process.pid)
        machines = processes.machines(self.state.run_path)
        for service, pid in pids.items():
            if pid not in services:
                raise RuntimeError(f"{service} is not there to be killed")
        processes.kill([*services, *machines])
        self._process.wait()
        return f"killed {len(services)} services and {len(machines)} QEMU"

    def _pid(self, service: str) -> int:
        """Of a service that runs, or is about to: the supervisor starts it again after a kill."""
        pid = 0

        def runs() -> bool:
            nonlocal pid
            pid = int(self.state.pid_file(service).read_text())
            return processes.runs(pid)

        wait_until(runs, f"{service} runs")
        return pid

    def _api_answers(self) -> bool:
        try:
            return httpx.get(self.state.url("api"), timeout=5).is_success
        except httpx.TransportError:
            return False

    def _kill(self, what: str, pids: list[int]) -> str:
        if not processes.kill(pids):
            raise RuntimeError(f"{what} was not there to be killed")
        return f"killed {what}"


def _fill(descriptor: int) -> int:
    """Write until there is no space for one byte more. Returns how many were written."""
    written, block = 0, 1 << 20
    while block:
        try:
            written += os.write(descriptor, bytes(block))
        except OSError:
            block //= 2
    return written


@contextmanager
def small_disk(cloud: ChaosCloud) -> Iterator[bool]:
    """Inside, the agent's files lie on a file system of their own of DISK_MIB. False where none may be
    mounted.

    It is mounted in a mount namespace of this process and its children, so it ends with them in any case.
    """
    if ctypes.CDLL(None).unshare(CLONE_NEWNS):
        yield False
        return
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    cloud.compute.mkdir(mode=0o711, parents=True, exist_ok=True)
    options = ["-o", f"size={DISK_MIB}m,mode=0711"]
    subprocess.run(["mount", "-t", "tmpfs", *options, "renova-chaos", str(cloud.compute)], check=True)
    try:
        yield True
    finally:
        subprocess.run(["umount", str(cloud.compute)], check=True)
