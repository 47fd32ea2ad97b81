"""QEMU on this host: starts machines, finds them again after a restart of the agent, forgets ended ones."""

import asyncio
import logging
import os
import pwd
import shutil
import time
from functools import partial
from pathlib import Path

from oslo_config import cfg

from renova.agent.files import plain
from renova.agent.qemu.accelerator import KVM, find_accelerator
from renova.agent.qemu.bounded_log import BOUND_INTERVAL, BoundedLog
from renova.agent.qemu.bounds import find_bounds
from renova.agent.qemu.command_line import command_line
from renova.agent.qemu.face import EndCallback, Machine
from renova.agent.qemu.inherited import Inherited
from renova.agent.qemu.machine import QemuMachine
from renova.agent.qemu.process import Identity, Process, spawn
from renova.agent.qemu.run_directory import RunDirectory, run_directories
from renova.agent.qemu.spec import MachineSpec
from renova.errors import RenovaError

# Seconds that a new QEMU may take to answer on its monitor, and that one of an earlier agent may.
START = 30.0
ADOPT = 10.0
# Seconds for a QEMU that closed its monitor to say why, and to end.
LAST_WORDS = 1.0
# Seconds for a QEMU to take its listening sockets over.
TAKE_OVER = 5.0

logger = logging.getLogger(__name__)


class QemuHypervisor:
    """See `renova.agent.qemu.face.Hypervisor`. Uses state_path, run_path and the options of [compute]."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self.on_end: EndCallback | None = None
        self._servers = Path(conf.run_path) / "servers"
        self._program: str = conf.compute.qemu
        self._option: str = conf.compute.accelerator
        self._memory = Path(conf.state_path) / "accelerator.json"
        self._identity = _identity(conf.compute.qemu_user, self._option)
        self._bounds = find_bounds()
        self._machines: dict[str, QemuMachine] = {}
        self._finding: asyncio.Task[str] | None = None
        self._bounding: asyncio.Task[None] | None = None

    async def adopt(self) -> list[Machine]:
        directories = await asyncio.to_thread(lambda: list(run_directories(self._servers)))
        adopted = await asyncio.gather(*(self._adopt(directory) for directory in directories))
        return [machine for machine in adopted if machine]

    async def accelerator(self) -> str:
        """How guests are run, "tcg" or "kvm". The first call on a host may take some seconds, in which
        nothing can be started.
        """
        if self._option != "auto":
            return self._option
        if self._finding is None:
            self._finding = asyncio.create_task(find_accelerator(self._program, self._identity, self._memory))
        return await asyncio.shield(self._finding)

    async def start(self, spec: MachineSpec) -> Machine:
        old = self._machines.get(spec.server_id)
        if old and not old.ended.done():
            raise RenovaError(f"Server {spec.server_id} runs already.")
        if old:
            await old.quit()
        directory = self._directory(spec.server_id)
        await self._end_leftover(directory)
        accelerator = await self.accelerator()
        # All in one thread: were the wait given up, descriptors that QEMU is to inherit would be closed.
        pid = await asyncio.to_thread(self._spawn, spec, directory, accelerator)
        machine = QemuMachine(spec, Process(pid, os.pidfd_open(pid)), directory)
        try:
            await asyncio.to_thread(self._bounds.enclose, spec, pid)
            await machine.connect(START)
            await machine.run()
        except RenovaError as error:
            await machine.kill_after(LAST_WORDS)
            raise RenovaError(f"QEMU did not start: {machine.last_words or error}") from error
        except BaseException:
            await machine.kill_after(0)
            raise
        self._keep(machine)
        return machine

    async def swap(self, spec: MachineSpec) -> Machine:
        machine = self._machines.get(spec.server_id)
        if machine is None:
            raise RenovaError(f"Server {spec.server_id} has no machine.")
        try:
            await machine.swap(spec)
        except BaseException:
            await machine.quit()
            raise
        self._watch_end(machine)
        return machine

    def stalled(self) -> list[Machine]:
        return [
            machine for machine in self._machines.values() if machine.stalled and not machine.ended.done()
        ]

    def get(self, server_id: str) -> Machine | None:
        machine = self._machines.get(server_id)
        if machine and machine.end_wanted and machine.gone.done():
            return None
        return machine

    def running(self) -> list[Machine]:
        return [machine for machine in self._machines.values() if not machine.ended.done()]

    async def remove(self, server_id: str) -> None:
        machine = self._machines.pop(server_id, None)
        if machine:
            await machine.quit()
        directory = self._directory(server_id)
        await self._end_leftover(directory)
        await asyncio.to_thread(directory.remove)

    async def console_output(self, server_id: str, lines: int | None) -> str:
        return await asyncio.to_thread(BoundedLog(self._directory(server_id).console).tail, lines)

    async def close(self) -> None:
        for task in (self._bounding, self._finding):
            if task:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await asyncio.gather(*(machine.let_go() for machine in self._machines.values()))
        self._machines.clear()

    def _spawn(self, spec: MachineSpec, directory: RunDirectory, accelerator: str) -> int:
        """Start a QEMU that waits, and note whose it is. Blocks."""
        if shutil.which(self._program) is None:
            raise RenovaError(f"{self._program} can't be started: there is no such program")
        directory.make()
        inherited = Inherited.open(spec, directory)
        try:
            directory.write_spec(spec)
            arguments = command_line(self._program, accelerator, spec, inherited)
            pid = spawn(
                [*self._bounds.started_by(spec), *arguments],
                output=inherited.errors,
                descriptors=inherited.numbers,
                identity=self._identity,
            )
        finally:
            inherited.close()
        directory.write_pid(pid)
        return pid

    async def _adopt(self, directory: RunDirectory) -> QemuMachine | None:
        process = await _find(directory)
        if process is None:
            await asyncio.to_thread(directory.clean)
            return None
        if not directory.spec.exists():
            # An agent died while it exchanged the disks: this is neither the one machine nor the other.
            await _end(process)
            await asyncio.to_thread(directory.clean)
            return None
        machine = None
        try:
            machine = QemuMachine(directory.read_spec(), process, directory)
            await machine.connect(ADOPT)
            state = await machine.look()
        except RenovaError as error:
            await asyncio.wait({process.ended}, timeout=LAST_WORDS)
            if machine:
                await machine.let_go()
            process.let_go()
            if process.ended.done():
                await asyncio.to_thread(directory.clean)
            else:
                # It may be stuck, or someone else may hold its only monitor. The next start ends it.
                logger.warning("The QEMU process of %s can't be adopted: %s", directory.path, error)
            return None
        self._keep(machine)
        if state == "prelaunch":
            # An agent died between the spawn and the start: its guest has never run.
            await machine.quit()
            return None
        return machine

    async def _end_leftover(self, directory: RunDirectory) -> None:
        """End a QEMU process of this server that could not be adopted: it holds the locks of the disks."""
        process = await _find(directory)
        if process:
            await _end(process)

    def _keep(self, machine: QemuMachine) -> None:
        self._machines[machine.spec.server_id] = machine
        machine.gone.add_done_callback(lambda _: self._bounds.forget(machine.spec.server_id))
        self._watch_end(machine)
        if self._bounding is None:
            self._bounding = asyncio.create_task(self._bound_logs())

    def _watch_end(self, machine: QemuMachine) -> None:
        machine.ended.add_done_callback(partial(self._note_end, machine))

    def _note_end(self, machine: QemuMachine, ended: asyncio.Future[str]) -> None:
        if machine.end_wanted:
            return
        logger.warning("Server %s: %s %s", machine.spec.server_id, ended.result(), machine.last_words)
        if self.on_end:
            self.on_end(machine.spec.server_id, machine, ended.result())

    def _directory(self, server_id: str) -> RunDirectory:
        return RunDirectory(self._servers / plain(server_id))

    async def _bound_logs(self) -> None:
        """Keep the logs of all machines short for as long as this agent runs."""
        while True:
            await asyncio.sleep(BOUND_INTERVAL)
            directories = [self._directory(server_id) for server_id in self._machines]
            if directories:
                await asyncio.to_thread(_shorten, directories)


def _shorten(directories: list[RunDirectory]) -> None:
    for path in (path for directory in directories for path in (directory.console, directory.errors)):
        try:
            BoundedLog(path).shorten()
        except OSError as error:
            logger.warning("%s can't be shortened: %s", path, error)


async def _find(directory: RunDirectory) -> Process | None:
    """The QEMU process of a run directory, if it has one.

    Where an agent was killed while it started QEMU, the sockets are still that agent's for some milliseconds.
    """
    deadline = time.monotonic() + TAKE_OVER
    while (pid := directory.listener()) and time.monotonic() < deadline:
        process = Process.find(pid, str(directory.path))
        if process:
            return process
        await asyncio.sleep(0.02)
    return None


async def _end(process: Process) -> None:
    process.kill()
    await asyncio.shield(process.ended)


def _identity(user: str | None, accelerator: str) -> Identity | None:
    """An unprivileged user with no group but its own and, where KVM may be used, the one that may open
    /dev/kvm.

    None where QEMU runs as whoever runs the agent. Never root's group, which an unprepared /dev/kvm has.
    """
    if user is None or os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise RenovaError(f"[compute] qemu_user: there is no user {user}") from None
    kvm = KVM.stat().st_gid if accelerator != "tcg" and KVM.exists() else 0
    return Identity(entry.pw_uid, entry.pw_gid, (kvm,) if kvm else ())
