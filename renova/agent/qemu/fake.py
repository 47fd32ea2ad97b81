"""A hypervisor without virtual machines, for trying an agent's steps: each machine does what it is told to.

Its machines live as long as the object: a second agent on the same object adopts them as it would real ones.
"""
# ruff: noqa: ASYNC109  A time limit that runs out is an answer here, False, and not an exception.

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from renova.agent.qemu.face import PANICKED, PAUSED, POWERED_OFF, EndCallback, Machine
from renova.agent.qemu.spec import MachineSpec
from renova.errors import RenovaError


@dataclass(frozen=True)
class Behaviour:
    """How a machine and its guest behave. Delays are in seconds; a delay of None is for ever.

    `start_failure` and `swap_failure` are the sentences that QEMU fails with. `resets` is a guest that resets
    without end.
    """

    start_delay: float = 0
    start_failure: str | None = None
    swap_failure: str | None = None
    power_down_delay: float | None = 0
    agent_delay: float | None = None
    sets_passwords: bool = True
    resets: bool = False
    console: str = ""


class FakeMachine:
    """See `renova.agent.qemu.face.Machine`. A test calls `end`, or sets `stalled`, to make something happen
    to it.
    """

    def __init__(self, spec: MachineSpec, pid: int, behaviour: Behaviour) -> None:
        self.pid = pid
        self.quitted = False
        self.has_old_disks = False
        self.ended_at: float | None = None
        self.become(spec, behaviour)

    def become(self, spec: MachineSpec, behaviour: Behaviour) -> None:
        """Another guest runs from now on."""
        self.spec = spec
        self.ran_at = time.monotonic()
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.panicked = False
        self.end_wanted = False
        self.stalled: str | None = None
        self.passwords: dict[str, str] = {}
        self._behaviour = behaviour
        self._reset_at: float | None = None

    @property
    def last_guest_reset(self) -> float | None:
        return time.monotonic() if self._behaviour.resets else self._reset_at

    async def go_on(self) -> None:
        self.stalled = None

    async def power_down(self, timeout: float) -> bool:
        self.end_wanted = True
        if await _passes(self._behaviour.power_down_delay, timeout):
            self.end(POWERED_OFF)
        self.end_wanted = self.ended.done()
        return self.ended.done()

    async def pause(self) -> None:
        self.end_wanted = True
        self.end(PAUSED)

    async def reset(self) -> None:
        self._reset_at = time.monotonic()

    async def quit(self) -> None:
        self.end_wanted = self.quitted = True
        self.end("QEMU exited with status 0")

    async def copy_root(self, target: Path) -> None:
        if self.ended.done():
            raise RenovaError(f"QEMU is gone: {target} stays empty")

    async def close_old_disks(self) -> None:
        self.has_old_disks = False

    async def agent_answers(self, timeout: float) -> bool:
        return await _passes(self._behaviour.agent_delay, timeout) and not self.ended.done()

    async def set_password(self, user: str, password: str, timeout: float) -> bool:
        if not await self.agent_answers(timeout) or not self._behaviour.sets_passwords:
            return False
        self.passwords[user] = password
        return True

    def end(self, reason: str) -> None:
        """The guest ends for this reason, if it has not ended yet."""
        if not self.ended.done():
            self.panicked = reason == PANICKED
            self.ended_at = time.monotonic()
            self.ended.set_result(reason)


class FakeHypervisor:
    """See `renova.agent.qemu.face.Hypervisor`. `behaviour` says at each start how a machine behaves."""

    def __init__(self, behaviour: Callable[[MachineSpec], Behaviour] = lambda _: Behaviour()) -> None:
        self.on_end: EndCallback | None = None
        self._behaviour = behaviour
        self._machines: dict[str, FakeMachine] = {}
        self._consoles: dict[str, str] = {}
        self._pids = itertools.count(1000)

    async def adopt(self) -> list[Machine]:
        return [machine for machine in self._machines.values() if not machine.quitted]

    async def start(self, spec: MachineSpec) -> FakeMachine:
        old = self._machines.get(spec.server_id)
        if old and not old.ended.done():
            raise RenovaError(f"Server {spec.server_id} runs already.")
        behaviour = self._behaviour(spec)
        await asyncio.sleep(behaviour.start_delay)
        if behaviour.start_failure:
            raise RenovaError(f"QEMU did not start: {behaviour.start_failure}")
        machine = FakeMachine(spec, next(self._pids), behaviour)
        self._keep(machine, behaviour)
        return machine

    async def swap(self, spec: MachineSpec) -> FakeMachine:
        machine = self._machines[spec.server_id]
        if machine.quitted:
            raise RenovaError("QEMU is gone")
        if not machine.spec.is_same_machine(spec):
            raise AssertionError("A swap exchanges the disks and nothing else.")
        behaviour = self._behaviour(spec)
        await machine.pause()
        await asyncio.sleep(behaviour.start_delay)
        if behaviour.swap_failure:
            await machine.quit()
            raise RenovaError(behaviour.swap_failure)
        machine.become(spec, behaviour)
        machine.has_old_disks = True
        self._keep(machine, behaviour)
        return machine

    def stalled(self) -> list[Machine]:
        return [
            machine for machine in self._machines.values() if machine.stalled and not machine.ended.done()
        ]

    def get(self, server_id: str) -> FakeMachine | None:
        machine = self._machines.get(server_id)
        return None if machine is None or machine.quitted else machine

    def running(self) -> list[Machine]:
        return [machine for machine in self._machines.values() if not machine.ended.done()]

    async def remove(self, server_id: str) -> None:
        machine = self._machines.pop(server_id, None)
        if machine:
            await machine.quit()
        self._consoles.pop(server_id, None)

    async def console_output(self, server_id: str, lines: int | None) -> str:
        text = self._consoles.get(server_id, "")
        if lines is None:
            return text
        return "\n".join(text.split("\n")[-lines:]) if lines else ""

    async def close(self) -> None:
        self.on_end = None

    def _keep(self, machine: FakeMachine, behaviour: Behaviour) -> None:
        machine.ended.add_done_callback(lambda ended: self._note_end(machine, ended.result()))
        self._machines[machine.spec.server_id] = machine
        self._consoles[machine.spec.server_id] = behaviour.console

    def _note_end(self, machine: FakeMachine, reason: str) -> None:
        if self.on_end and not machine.end_wanted:
            self.on_end(machine.spec.server_id, machine, reason)


async def _passes(delay: float | None, timeout: float) -> bool:
    """Whether a delay is over within the timeout; takes the shorter of both."""
    await asyncio.sleep(timeout if delay is None else min(delay, timeout))
    return delay is not None and delay <= timeout
