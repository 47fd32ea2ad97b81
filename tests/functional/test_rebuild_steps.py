"""A rebuild, failed and killed at every step."""

import asyncio
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pycdlib import PyCdlib
from sqlalchemy import select, update

from renova.agent import operations
from renova.agent.engine import Deed
from renova.agent.qemu.face import PAUSED, POWERED_OFF
from renova.agent.qemu.fake import Behaviour
from renova.agent.work import Work
from renova.compute.power import begin_delete, begin_reboot
from renova.db.tables import Action, Event, Port, Server
from tests.functional.agent_world import (
    NEW,
    NEWER,
    OLD,
    STEPS,
    Killed,
    World,
    Wrap,
    after,
    before,
    die_working,
    with_step,
    with_undo,
)


@pytest.fixture(params=["auto", "respawn"])
def world(world: World, request: pytest.FixtureRequest) -> World:
    """Each test is one of both ways from the old system to the new one and back."""
    world.conf.set_override("method", request.param, "rebuild")
    return world


async def test_a_rebuild_keeps_the_identity_and_the_generation_before(world: World) -> None:
    async with world.sessions() as session:
        ports = [(p.mac, p.address) for p in await session.scalars(select(Port))]
    await world.ask_rebuild()
    server = await world.server()
    assert (server.task_state, server.progress, server.name) == ("rebuilding", 1, "after")
    await world.work()
    await world.assert_new()
    async with world.sessions() as session:
        assert [(p.mac, p.address) for p in await session.scalars(select(Port))] == ports
        events = list(await session.scalars(select(Event).join(Action).where(Action.action == "rebuild")))
    assert [event.name for event in events] == STEPS
    assert {event.result for event in events} == {"Success"}
    said = {event.name: event.details for event in events}
    assert said["fetch_image"] == f"{len(world.glance.data[NEW])} bytes were fetched"
    assert said["stop_guest"] == "the guest powered itself off"


async def test_the_new_system_is_told_its_new_host_name(world: World) -> None:
    await world.ask_rebuild()
    await world.work()
    assert [host_name_of(world, generation) for generation in (1, 2)] == ["before", "after.example.org"]


def host_name_of(world: World, generation: int) -> str:
    """What the config drive of a generation says."""
    drive = Path(world.conf.state_path) / "servers" / world.server_id / f"config-{generation}.iso"
    content, iso = io.BytesIO(), PyCdlib()
    iso.open_fp(io.BytesIO(drive.read_bytes()))
    iso.get_file_from_iso_fp(content, rr_path="/openstack/latest/meta_data.json")
    hostname: str = json.loads(content.getvalue())["hostname"]
    return hostname


async def test_one_previous_generation_at_most(world: World) -> None:
    await world.ask_rebuild()
    await world.work()
    await world.ask_rebuild(NEWER)
    await world.work()
    assert (await world.server()).generation == 3
    assert await world.generations() == [2, 3]
    assert world.files() == ["config-2.iso", "config-3.iso", "root-2.qcow2", "root-3.qcow2"]


@pytest.mark.parametrize("moment", [before, after], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_failure_at_any_step_leaves_the_old_system(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, moment: Callable[[BaseException], Wrap]
) -> None:
    was = world.running()
    monkeypatch.setitem(
        operations.OPERATIONS,
        "rebuild",
        with_step(operations.OPERATIONS["rebuild"], step, moment(ValueError("it broke"))),
    )
    await world.ask_rebuild()
    await world.work()
    await world.assert_old()
    if STEPS.index(step) < STEPS.index("stop_guest"):
        assert world.running() == was, "the old system was not even touched"
    server = await world.server()
    assert server.fault is not None
    assert server.fault["message"] == f"Error: {step}: it broke"
    action = (await world.actions())[-1]
    assert (action.message, action.failed_step) == (f"Error: {step}: it broke", step)
    assert action.finished_at is not None
    # A failed rebuild is no obstacle to the next, whose number is new.
    monkeypatch.undo()
    await world.ask_rebuild()
    await world.work()
    server = await world.server()
    assert (server.generation, server.image_id, server.fault) == (3, NEW, None)


@pytest.mark.parametrize("moment", [before, after], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_an_agent_killed_at_any_step_is_carried_on_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, moment: Callable[[BaseException], Wrap]
) -> None:
    await world.ask_rebuild()
    with monkeypatch.context() as patch:
        broken = with_step(operations.OPERATIONS["rebuild"], step, moment(Killed()))
        patch.setitem(operations.OPERATIONS, "rebuild", broken)
        await die_working(world)
    await world.work()
    await world.assert_new()


@pytest.mark.parametrize("step", [step.name for step in operations.OPERATIONS["rebuild"].steps if step.undo])
async def test_an_agent_killed_while_it_restores_is_carried_on_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    await world.ask_rebuild()
    with monkeypatch.context() as patch:
        failing = with_step(operations.OPERATIONS["rebuild"], "verify_guest", before(ValueError("it broke")))
        patch.setitem(operations.OPERATIONS, "rebuild", with_undo(failing, step, after(Killed())))
        await die_working(world)
    await world.work()
    await world.assert_old()


async def test_an_undo_that_fails_leaves_no_more_than_the_two_systems_it_was_about(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.ask_rebuild()
    await world.work()
    await world.ask_rebuild(NEWER)
    with monkeypatch.context() as patch:
        failing = with_step(operations.OPERATIONS["rebuild"], "verify_guest", before(ValueError("it broke")))
        broken = with_undo(failing, "start_guest", before(ValueError("so did the way back")))
        patch.setitem(operations.OPERATIONS, "rebuild", broken)
        await world.work()
    server = await world.server()
    assert (server.vm_state, server.generation) == ("error", 3)
    assert await world.generations() == [2, 3]
    assert world.files() == ["config-2.iso", "config-3.iso", "root-2.qcow2", "root-3.qcow2"]


async def test_a_new_system_that_does_not_start_gives_way_to_the_old_one(world: World) -> None:
    world.behaviour_of[2] = Behaviour(start_failure="no such machine", swap_failure="no such node")
    await world.ask_rebuild()
    await world.work()
    await world.assert_old()
    assert "no such machine" in ((await world.actions())[-1].message or "")


async def test_a_swap_that_fails_becomes_a_new_qemu(world: World) -> None:
    world.conf.clear_override("method", "rebuild")
    world.behaviour_of[2] = Behaviour(agent_delay=0, swap_failure="no such node")
    was = world.running()
    await world.ask_rebuild()
    await world.work()
    await world.assert_new()
    assert was is not None
    assert world.running() != (2, was[1])
    assert silence_in((await start_events(world))["rebuild"], "respawn: the swap failed: no such node")


async def test_the_event_of_the_start_tells_the_way(world: World) -> None:
    was = world.running()
    assert was is not None
    await world.ask_rebuild()
    await world.work()
    kept = world.running() == (2, was[1])
    told = (await start_events(world))["rebuild"]
    if world.conf.rebuild.method == "auto":
        assert kept
        assert silence_in(told, "swap: the machine stays and its disks are exchanged")
    else:
        assert not kept
        assert silence_in(told, "respawn: [rebuild] method = respawn")


async def test_the_silence_is_counted_from_the_guests_end(world: World) -> None:
    """A guest that powered itself off was off the air from then on, not from the exchange of its disks on."""
    machine = world.hypervisor.get(world.server_id)
    assert machine is not None
    await world.ask_rebuild()
    machine.end_wanted = True
    machine.end(POWERED_OFF)
    assert machine.ended_at is not None
    machine.ended_at -= 1000
    await world.work()
    told = (await start_events(world))["rebuild"] or ""
    assert silence_in(told, told.partition(";")[0]) >= 1_000_000


async def test_an_image_may_ask_for_a_new_qemu(world: World) -> None:
    world.glance.add(NEW, world.glance.data[NEW], hw_qemu_guest_agent="yes", renova_rebuild_method="respawn")
    was = world.running()
    await world.ask_rebuild()
    await world.work()
    await world.assert_new()
    assert was is not None
    assert world.running() != (2, was[1])


async def test_a_system_that_was_not_asked_runs_until_the_new_one_takes_its_place(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.conf.set_override("shutdown_timeout", 0, "compute")
    was, seen = world.running(), []

    def look(do: Deed) -> Deed:
        async def deed(work: Work) -> None:
            await do(work)
            seen.append(world.running())

        return deed

    looking = with_step(operations.OPERATIONS["rebuild"], "swap_generation", look)
    monkeypatch.setitem(operations.OPERATIONS, "rebuild", looking)
    await world.ask_rebuild()
    await world.work()
    await world.assert_new()
    assert seen == [was]


async def test_a_deaf_system_is_halted_before_the_point_of_no_return(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked to power itself off may do so later: it is not what a failure can leave running."""
    machine = world.hypervisor.get(world.server_id)
    assert machine is not None
    machine.become(machine.spec, Behaviour(power_down_delay=None))
    broken = with_step(operations.OPERATIONS["rebuild"], "swap_generation", before(ValueError("it broke")))
    monkeypatch.setitem(operations.OPERATIONS, "rebuild", broken)
    old_end = machine.ended
    await world.ask_rebuild()
    await world.work()
    await world.assert_old()
    assert old_end.result() == PAUSED
    assert world.running() != (1, machine.pid)


def silence_in(told: str | None, way: str) -> float:
    """The milliseconds off the air that an event tells of behind the way that was taken."""
    found = re.fullmatch(rf"{re.escape(way)}; off the air for (\d+\.\d) ms", told or "")
    assert found, told
    return float(found[1])


async def start_events(world: World) -> dict[str, str | None]:
    """By action, what the event of its start_guest says."""
    async with world.sessions() as session:
        rows = await session.execute(
            select(Action.action, Event.details).join(Event).where(Event.name == "start_guest")
        )
    return {row.action: row.details for row in rows}


async def test_a_new_system_whose_agent_stays_silent_gives_way_to_the_old_one(world: World) -> None:
    world.conf.set_override("agent_timeout", 1, "rebuild")
    world.behaviour_of[2] = Behaviour(agent_delay=None)
    await world.ask_rebuild()
    await world.work()
    await world.assert_old()
    assert "did not answer within 1 seconds" in ((await world.actions())[-1].message or "")


async def test_a_new_system_that_ends_gives_way_to_the_old_one_at_once(world: World) -> None:
    world.behaviour_of[2] = Behaviour(agent_delay=None)
    await world.ask_rebuild()
    worker = await world.agent()
    (rebuild,) = await worker.sweep()
    async with asyncio.timeout(20):
        machine = await world.machine_of(2)
        machine.end("guest panicked")
        await rebuild
    await world.assert_old()
    assert "guest panicked" in ((await world.actions())[-1].message or "")


async def test_bytes_that_glance_did_not_promise_touch_nothing(world: World) -> None:
    was = world.running()
    await world.ask_rebuild()
    world.glance.data[NEW] = world.glance.data[NEW][:-1] + b"!"
    await world.work()
    await world.assert_old()
    assert world.running() == was
    assert not list(world.images.glob("*.part*"))


async def test_what_the_owner_changed_meanwhile_wins_over_the_restore(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        operations.OPERATIONS,
        "rebuild",
        with_step(operations.OPERATIONS["rebuild"], "verify_guest", before(ValueError("it broke"))),
    )
    await world.ask_rebuild()
    async with world.sessions.begin() as session:
        await session.execute(update(Server).values(name="the owner's own"))
    await world.work()
    server = await world.server()
    assert (server.name, server.image_id, server.meta) == ("the owner's own", OLD, {"role": "old"})


async def test_a_stopped_server_stays_stopped(world: World) -> None:
    machine = world.hypervisor.get(world.server_id)
    assert machine is not None
    await machine.quit()
    async with world.sessions.begin() as session:
        await session.execute(update(Server).values(vm_state="stopped"))
    await world.ask_rebuild()
    await world.work()
    server = await world.server()
    assert (server.vm_state, server.task_state, server.generation, server.image_id) == (
        "stopped",
        None,
        2,
        NEW,
    )
    assert world.running() is None


async def test_a_delete_takes_over_from_a_rebuild_that_waits(world: World) -> None:
    world.behaviour_of[2] = Behaviour(agent_delay=None)
    await world.ask_rebuild()
    worker = await world.agent()
    await worker.sweep()
    async with asyncio.timeout(20):
        await world.machine_of(2)
        await world.ask(begin_delete)
        await asyncio.gather(*await worker.sweep())
    server = await world.server()
    assert server.deleted_at is not None
    assert (world.running(), world.files(), await world.generations()) == (None, [], [])
    rebuild, delete = (await world.actions())[-2:]
    assert rebuild.message == "Error: another action has taken over."
    assert (delete.action, delete.message) == ("delete", None)


async def test_a_hard_reboot_takes_over_from_a_soft_one(world: World) -> None:
    world.behaviour = Behaviour(power_down_delay=None)
    world.conf.set_override("shutdown_timeout", 60, "compute")
    await world.ask(begin_reboot, hard=True)
    await world.work()
    deaf = world.running()
    worker = await world.agent()
    await world.ask(begin_reboot, hard=False)
    await worker.sweep()
    await world.ask(begin_reboot, hard=True)
    await asyncio.wait_for(asyncio.gather(*await worker.sweep()), 30)
    server = await world.server()
    assert (server.vm_state, server.task_state) == ("active", None)
    running = world.running()
    assert running is not None
    assert running != deaf
