"""What two requests, a kill or a guest do to each other at the worst moment: nothing is lost or left over."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from renova.agent import operations, patience
from renova.agent.engine import Deed
from renova.agent.qemu.face import POWERED_OFF
from renova.agent.qemu.fake import Behaviour
from renova.agent.work import Work
from renova.compute import power
from renova.compute.power import begin_delete, begin_reboot, begin_stop
from renova.db.tables import Event, Server
from tests.functional.agent_world import (
    NEW,
    OLD,
    STEPS,
    Killed,
    World,
    Wrap,
    before,
    die_working,
    with_step,
    with_undo,
)


def meanwhile(
    world: World, begin: Callable[..., Awaitable[None]], then: BaseException | None = None, **how: Any
) -> Wrap:
    """Another request comes while the step is being done; the step is done, or fails."""

    def wrap(do: Deed) -> Deed:
        async def deed(work: Work) -> None:
            await world.ask(begin, **how)
            if then:
                raise then
            await do(work)

        return deed

    return wrap


async def assert_deleted(world: World) -> None:
    server = await world.server()
    assert server.deleted_at is not None
    assert (world.running(), world.files(), await world.generations()) == (None, [], [])
    last = (await world.actions())[-1]
    assert (last.action, last.message) == ("delete", None)
    for action in await world.actions():
        assert action.finished_at is not None


@pytest.mark.parametrize("then", [None, ValueError("it broke")], ids=["done", "failed"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_delete_that_comes_during_any_step_of_a_rebuild_is_done(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, then: BaseException | None
) -> None:
    monkeypatch.setitem(
        operations.OPERATIONS,
        "rebuild",
        with_step(operations.OPERATIONS["rebuild"], step, meanwhile(world, begin_delete, then)),
    )
    await world.ask_rebuild()
    await world.work()
    await world.work()
    await assert_deleted(world)


async def test_a_delete_that_comes_while_a_stop_fails_is_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = meanwhile(world, begin_delete, ValueError("it broke"))
    monkeypatch.setitem(
        operations.OPERATIONS, "stop", with_step(operations.OPERATIONS["stop"], "stop_guest", failing)
    )
    await world.ask(begin_stop)
    await world.work()
    await world.work()
    await assert_deleted(world)


async def test_a_delete_that_comes_while_an_undo_fails_is_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = with_step(operations.OPERATIONS["rebuild"], "verify_guest", before(ValueError("it broke")))
    failing = with_undo(failing, "stop_guest", meanwhile(world, begin_delete, OSError("and again")))
    monkeypatch.setitem(operations.OPERATIONS, "rebuild", failing)
    await world.ask_rebuild()
    await world.work()
    await world.work()
    await assert_deleted(world)


async def test_a_hard_reboot_that_comes_while_a_soft_one_starts_the_guest_is_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(
            operations.OPERATIONS,
            "reboot",
            with_step(
                operations.OPERATIONS["reboot"], "start_guest", meanwhile(world, begin_reboot, hard=True)
            ),
        )
        await world.ask(begin_reboot, hard=False)
        await world.work()
    await world.work()
    server = await world.server()
    assert (server.vm_state, server.task_state) == ("active", None)
    soft, hard = (await world.actions())[-2:]
    assert soft.message == "Error: another action has taken over."
    assert hard.message is None


@pytest.mark.parametrize("undo", ["start_guest", "swap_generation", "stop_guest"])
async def test_an_undo_that_fails_removes_neither_system(
    world: World, monkeypatch: pytest.MonkeyPatch, undo: str
) -> None:
    with monkeypatch.context() as patch:
        failing = with_step(operations.OPERATIONS["rebuild"], "verify_guest", before(ValueError("it broke")))
        failing = with_undo(failing, undo, before(OSError("and broke again")))
        patch.setitem(operations.OPERATIONS, "rebuild", failing)
        await world.ask_rebuild()
        await world.work()
    server = await world.server()
    assert (server.vm_state, server.task_state) == ("error", None)
    assert server.fault is not None
    assert "and broke again" in server.fault["message"]
    if server.generation == 1:
        assert (server.name, server.image_id) == ("before", OLD)
    else:
        assert (server.name, server.image_id) == ("after", NEW)
    await world.ask(begin_reboot, hard=True)
    await world.work()
    server = await world.server()
    assert (server.vm_state, server.task_state) == ("active", None)
    running = world.running()
    assert running is not None
    assert running[0] == server.generation
    # The next rebuild clears what was kept.
    await world.ask_rebuild()
    await world.work()
    server = await world.server()
    assert (server.generation, server.image_id) == (3, NEW)
    kept = await world.generations()
    assert len(kept) == 2
    assert world.files() == sorted(
        f"{name}-{n}.{end}" for n in kept for name, end in (("root", "qcow2"), ("config", "iso"))
    )


@pytest.mark.parametrize("step", ["fetch_image", "make_disks"])
async def test_a_step_that_fails_the_second_time_undoes_all_that_was_done_the_first_time(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    await world.ask_rebuild()
    with monkeypatch.context() as patch:
        patch.setitem(
            operations.OPERATIONS,
            "rebuild",
            with_step(operations.OPERATIONS["rebuild"], "verify_guest", before(Killed())),
        )
        await die_working(world)
    with monkeypatch.context() as patch:
        patch.setitem(
            operations.OPERATIONS,
            "rebuild",
            with_step(operations.OPERATIONS["rebuild"], step, before(ValueError("it broke"))),
        )
        await world.work()
    await world.assert_old()


async def test_an_action_that_is_given_up_after_a_kill_leaves_no_event_open(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.ask_rebuild()
    with monkeypatch.context() as patch:
        patch.setitem(
            operations.OPERATIONS,
            "rebuild",
            with_step(operations.OPERATIONS["rebuild"], "fetch_image", before(Killed())),
        )
        await die_working(world)
    await world.ask(begin_delete)
    await world.work()
    await assert_deleted(world)
    async with world.sessions() as session:
        assert all(event.finished_at for event in await session.scalars(select(Event)))


async def test_a_delete_waits_for_no_place(world: World) -> None:
    """Though the only place is taken by a rebuild that waits for its guest, and awaited by another."""
    world.conf.set_override("concurrency", 1, "compute")
    first = world.server_id
    await world.create()
    second, world.server_id = world.server_id, first
    world.behaviour_of[2] = Behaviour(agent_delay=None)
    await world.ask_rebuild()
    worker = await world.agent()
    await worker.sweep()
    async with asyncio.timeout(20):
        await world.machine_of(2)
        world.server_id = second
        await world.ask_rebuild()
        await worker.sweep()
        await world.ask(begin_delete)
        await worker.sweep()
        await world.until(vm_state="deleted")
    assert world.files() == []
    world.server_id = first
    assert (await world.server()).task_state == "rebuild_spawning"
    await worker.close()


async def test_an_agent_that_is_told_to_end_leaves_its_actions_to_the_next(world: World) -> None:
    world.behaviour_of[2] = Behaviour(agent_delay=None)
    await world.ask_rebuild()
    worker = await world.agent()
    await worker.sweep()
    await world.machine_of(2)
    await asyncio.wait_for(worker.close(), 5)
    await world.hypervisor.close()
    assert world.running() is not None
    action = (await world.actions())[-1]
    assert (action.finished_at, action.failed_step) == (None, None)
    world.behaviour_of[2] = Behaviour(agent_delay=0)
    machine = world.hypervisor.get(world.server_id)
    assert machine is not None
    machine._behaviour = Behaviour(agent_delay=0)
    await world.work()
    await world.assert_new()


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_rebuild_waits_for_a_database_that_is_away(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, moment: str
) -> None:
    """It is neither failed nor undone, and goes on in the same agent."""
    monkeypatch.setattr(patience, "AWAY", 0.05)
    away = [OperationalError("SELECT", {}, Exception("the database is away"))] * 2

    def wrap(do: Deed) -> Deed:
        async def deed(work: Work) -> None:
            if moment == "after":
                await do(work)
            if away:
                raise away.pop()
            await do(work)

        return deed

    monkeypatch.setitem(
        operations.OPERATIONS, "rebuild", with_step(operations.OPERATIONS["rebuild"], step, wrap)
    )
    await world.ask_rebuild()
    await world.work()
    await world.assert_new()


async def test_a_guest_that_ends_while_the_database_is_away_is_noted_when_it_is_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "AWAY", 0.05)
    note_end, tries = power.note_end, 0

    async def away_at_first(*args: Any, **how: Any) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise OperationalError("UPDATE", {}, Exception("the database is away"))
        await note_end(*args, **how)

    monkeypatch.setattr(power, "note_end", away_at_first)
    worker = await world.agent()
    machine = await world.machine_of(1)
    machine.end("QEMU was killed by signal 9")
    async with asyncio.timeout(5):
        server = await world.until(vm_state="stopped")
    assert server.fault is not None
    assert "signal 9" in server.fault["message"]
    await worker.close()


async def test_two_deletes_at_once_are_one(world: World) -> None:
    both = await asyncio.gather(*(world.ask(begin_delete) for _ in range(2)), return_exceptions=True)
    assert both == [None, None]
    await world.work()
    await assert_deleted(world)
    assert [action.action for action in await world.actions()] == ["create", "delete"]


async def test_a_guest_that_powers_itself_off_does_not_wipe_out_the_fault(world: World) -> None:
    async with world.sessions.begin() as session:
        await session.execute(update(Server).values(fault={"message": "of the last action"}))
    worker = await world.agent()
    (await world.machine_of(1)).end(POWERED_OFF)
    async with asyncio.timeout(5):
        server = await world.until(vm_state="stopped")
    assert server.fault == {"message": "of the last action"}
    await worker.close()
