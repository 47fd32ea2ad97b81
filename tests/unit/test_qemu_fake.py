"""The fake hypervisor does what a test tells it to, and what the real one does otherwise."""

import asyncio
import time
from dataclasses import replace

import pytest

from renova.agent.qemu import MachineSpec
from renova.agent.qemu.face import PANICKED, PAUSED, POWERED_OFF
from renova.agent.qemu.fake import Behaviour, FakeHypervisor
from renova.errors import RenovaError

SPEC = MachineSpec("5ba5a66f-1d3c-4d2d-9b1b-1f0e8f4dbe0e", 1, "web", 1, 64, "/base", "raw", "/root")


async def test_a_machine_lives_until_it_is_ended() -> None:
    hypervisor = FakeHypervisor()
    machine = await hypervisor.start(SPEC)
    assert hypervisor.get(SPEC.server_id) is machine
    assert await hypervisor.adopt() == [machine]
    with pytest.raises(RenovaError, match="runs already"):
        await hypervisor.start(SPEC)

    await machine.quit()

    assert hypervisor.get(SPEC.server_id) is None
    assert await hypervisor.adopt() == []
    assert await hypervisor.start(SPEC) is not machine


async def test_only_an_end_that_nobody_asked_for_is_reported() -> None:
    hypervisor = FakeHypervisor()
    seen = []
    hypervisor.on_end = lambda server_id, machine, reason: seen.append((server_id, reason))
    machine = await hypervisor.start(SPEC)
    assert await machine.power_down(1)
    assert machine.ended.result() == POWERED_OFF
    await machine.quit()

    panicking = await hypervisor.start(SPEC)
    panicking.end(PANICKED)
    await asyncio.sleep(0)

    assert panicking.panicked
    assert hypervisor.get(SPEC.server_id) is panicking
    assert seen == [(SPEC.server_id, PANICKED)]


async def test_a_guest_behaves_as_told() -> None:
    deaf = Behaviour(power_down_delay=None, resets=True, console="a\nb")
    talking = Behaviour(agent_delay=0)
    hypervisor = FakeHypervisor(lambda spec: deaf if spec.generation == 1 else talking)
    machine = await hypervisor.start(SPEC)
    assert not await machine.power_down(0.01)
    assert not await machine.agent_answers(0.01)
    assert machine.last_guest_reset is not None
    assert machine.last_guest_reset <= time.monotonic()
    assert await hypervisor.console_output(SPEC.server_id, 1) == "b"
    await hypervisor.remove(SPEC.server_id)
    assert await hypervisor.console_output(SPEC.server_id, None) == ""

    other = await hypervisor.start(
        MachineSpec.from_json(SPEC.to_json().replace('"generation": 1', '"generation": 2'))
    )
    assert await other.agent_answers(0.01)
    assert other.last_guest_reset is None


async def test_a_start_may_fail() -> None:
    hypervisor = FakeHypervisor(lambda _: Behaviour(start_failure="no such device"))

    with pytest.raises(RenovaError, match="QEMU did not start: no such device"):
        await hypervisor.start(SPEC)

    assert hypervisor.get(SPEC.server_id) is None


async def test_a_swap_keeps_the_process_and_nothing_of_the_guest() -> None:
    hypervisor = FakeHypervisor(
        lambda spec: Behaviour(swap_failure="no such node" if spec.generation == 3 else None)
    )
    machine = await hypervisor.start(SPEC)
    old_end, pid = machine.ended, machine.pid

    assert await hypervisor.swap(replace(SPEC, generation=2)) is machine

    assert (old_end.result(), machine.pid, machine.spec.generation) == (PAUSED, pid, 2)
    assert not machine.ended.done()
    with pytest.raises(RenovaError, match="no such node"):
        await hypervisor.swap(replace(SPEC, generation=3))
    assert hypervisor.get(SPEC.server_id) is None
    with pytest.raises(RenovaError, match="QEMU is gone"):
        await hypervisor.swap(replace(SPEC, generation=2))
