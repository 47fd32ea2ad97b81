"""undoRebuild on a host, failed and killed at every step; and what becomes of the systems that are kept."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from renova.agent import disks, operations
from renova.compute import resize
from renova.compute.power import begin_reboot, begin_stop
from renova.compute.quotas import Limits
from renova.compute.undo import NothingToUndo, Rules, begin_undo
from renova.db.tables import Flavor, Generation, Server
from tests.functional.agent_world import (
    NEW,
    NEWER,
    OLD,
    Killed,
    World,
    Wrap,
    after,
    before,
    die_working,
    with_step,
    with_undo,
)

STEPS = [step.name for step in operations.OPERATIONS["undoRebuild"].steps]
BOTH = ["config-1.iso", "config-2.iso", "root-1.qcow2", "root-2.qcow2"]
Moment = Callable[[BaseException], Wrap]


@pytest.fixture(params=["auto", "respawn"])
def world(world: World, request: pytest.FixtureRequest) -> World:
    """Each test is one of both ways from a system to the other."""
    world.conf.set_override("method", request.param, "rebuild")
    return world


@pytest.fixture
async def rebuilt(world: World) -> World:
    await world.ask_rebuild()
    await world.work()
    await world.assert_new()
    return world


async def ask_undo(world: World, **options: object) -> None:
    for name, value in options.items():
        world.conf.set_override(name, value, "rebuild")
    await world.ask(begin_undo, rules=Rules.of(world.conf))


async def undo(world: World) -> None:
    await ask_undo(world)
    await world.work()


async def assert_back(world: World) -> None:
    """The old system runs with its values, and the new one is kept for undoing the undo."""
    server = await world.server()
    assert (server.vm_state, server.task_state, server.fault) == ("active", None, None)
    assert (server.name, server.image_id, server.meta) == ("before", OLD, {"role": "old"})
    assert (server.hostname, server.generation, server.progress) == ("before", 1, 100)
    assert runs(world) == 1
    assert (world.files(), await world.generations()) == (BOTH, [1, 2])
    assert await kept(world) == [2]


def runs(world: World) -> int | None:
    running = world.running()
    return running[0] if running else None


async def kept(world: World) -> list[int]:
    return [number for number in await world.generations() if (await row(world, number)).superseded_at]


async def row(world: World, number: int) -> Generation:
    async with world.sessions() as session:
        generation = await session.get(Generation, (world.server_id, number))
    assert generation is not None
    return generation


async def ages(world: World, number: int, hours: float) -> None:
    """So long ago the system before stopped being the server's."""
    async with world.sessions.begin() as session:
        since = datetime.now(UTC) - timedelta(hours=hours)
        await session.execute(
            update(Generation).where(Generation.number == number).values(superseded_at=since)
        )


async def test_an_undo_brings_the_system_before_back_and_can_be_undone(rebuilt: World) -> None:
    await ask_undo(rebuilt)
    server = await rebuilt.server()
    assert (server.task_state, server.progress, server.name) == ("rebuilding", 1, "before")
    await rebuilt.work()
    await assert_back(rebuilt)
    await undo(rebuilt)
    await rebuilt.assert_new()
    assert await kept(rebuilt) == [1]


async def test_an_undo_needs_neither_glance_nor_the_image(rebuilt: World) -> None:
    rebuilt.glance.down = True
    await undo(rebuilt)
    await assert_back(rebuilt)


async def test_what_the_owner_wrote_after_the_rebuild_wins_over_the_undo(rebuilt: World) -> None:
    async with rebuilt.sessions.begin() as session:
        await session.execute(update(Server).values(name="the owner's own"))
    await undo(rebuilt)
    server = await rebuilt.server()
    assert (server.name, server.image_id, server.meta) == ("the owner's own", OLD, {"role": "old"})
    await undo(rebuilt)
    server = await rebuilt.server()
    assert (server.name, server.image_id, server.meta) == ("the owner's own", NEW, {"role": "new"})


async def test_there_is_nothing_to_undo_before_the_first_rebuild(world: World) -> None:
    with pytest.raises(NothingToUndo, match="has not been rebuilt"):
        await ask_undo(world)
    assert (await world.server()).task_state is None


@pytest.mark.parametrize("moment", [before, after], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_an_undo_that_fails_at_any_step_leaves_the_system_that_ran(
    rebuilt: World, monkeypatch: pytest.MonkeyPatch, step: str, moment: Moment
) -> None:
    broken = with_step(operations.OPERATIONS["undoRebuild"], step, moment(ValueError("it broke")))
    with monkeypatch.context() as patch:
        patch.setitem(operations.OPERATIONS, "undoRebuild", broken)
        await undo(rebuilt)
    server = await rebuilt.server()
    assert (server.vm_state, server.task_state) == ("active", None)
    assert (server.name, server.image_id, server.meta) == ("after", NEW, {"role": "new"})
    assert server.fault is not None
    assert server.fault["message"] == f"Error: {step}: it broke"
    assert (runs(rebuilt), rebuilt.files(), await kept(rebuilt)) == (2, BOTH, [1])
    # A failed undo is no obstacle to the next.
    await undo(rebuilt)
    await assert_back(rebuilt)


@pytest.mark.parametrize("moment", [before, after], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_an_agent_killed_at_any_step_of_an_undo_is_carried_on_by_the_next(
    rebuilt: World, monkeypatch: pytest.MonkeyPatch, step: str, moment: Moment
) -> None:
    await ask_undo(rebuilt)
    with monkeypatch.context() as patch:
        broken = with_step(operations.OPERATIONS["undoRebuild"], step, moment(Killed()))
        patch.setitem(operations.OPERATIONS, "undoRebuild", broken)
        await die_working(rebuilt)
    await rebuilt.work()
    await assert_back(rebuilt)


async def test_a_kept_disk_that_is_gone_touches_nothing(rebuilt: World) -> None:
    was = rebuilt.running()
    disks.remove(disks.server_directory(rebuilt.conf.state_path, rebuilt.server_id), 1)
    await undo(rebuilt)
    server = await rebuilt.server()
    assert (server.vm_state, server.generation, server.image_id) == ("active", 2, NEW)
    assert server.fault is not None
    assert "damaged or gone" in server.fault["message"]
    assert rebuilt.running() == was


async def test_a_server_that_is_off_stays_off(rebuilt: World) -> None:
    await rebuilt.ask(begin_stop)
    await rebuilt.work()
    await undo(rebuilt)
    server = await rebuilt.server()
    assert (server.vm_state, server.generation, server.image_id) == ("stopped", 1, OLD)
    assert runs(rebuilt) is None


async def test_an_undo_after_a_resize_grows_the_disk(rebuilt: World) -> None:
    async with rebuilt.sessions.begin() as session:
        larger = Flavor(id="large", name="large", vcpus=3, ram=1536, disk=7)
        session.add(larger)
    await rebuilt.ask(resize.begin_resize, limits=Limits.of(rebuilt.conf), flavor=larger, disk_config=None)
    await rebuilt.work()
    await rebuilt.ask(resize.begin_confirm)
    await rebuilt.work()
    assert await rebuilt.generations() == [1, 3]
    await undo(rebuilt)
    server = await rebuilt.server()
    assert (server.generation, server.image_id, server.flavor["id"]) == (1, OLD, "large")
    path = disks.root_path(disks.server_directory(rebuilt.conf.state_path, rebuilt.server_id), 1)
    assert virtual_size(path) == (await row(rebuilt, 1)).virtual_size == 7 * 1024**3
    machine = rebuilt.hypervisor.get(rebuilt.server_id)
    assert machine is not None
    assert (machine.spec.generation, machine.spec.vcpus) == (1, 3)


def virtual_size(path: Path) -> int:
    """Of a qcow2 file: bytes 24 to 31 of its header (QEMU, docs/interop/qcow2.txt)."""
    return int.from_bytes(path.read_bytes()[24:32], "big")


async def test_the_next_rebuild_frees_what_the_undo_kept(rebuilt: World) -> None:
    await undo(rebuilt)
    await rebuilt.ask_rebuild(NEWER)
    await rebuilt.work()
    assert await rebuilt.generations() == [1, 3]
    assert rebuilt.files() == ["config-1.iso", "config-3.iso", "root-1.qcow2", "root-3.qcow2"]
    await undo(rebuilt)
    assert (await rebuilt.server()).image_id == OLD


async def test_a_failed_rebuild_leaves_what_was_kept_before_it(
    rebuilt: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = with_step(operations.OPERATIONS["rebuild"], "verify_guest", before(ValueError("it broke")))
    with monkeypatch.context() as patch:
        patch.setitem(operations.OPERATIONS, "rebuild", broken)
        await rebuilt.ask_rebuild(NEWER)
        await rebuilt.work()
    assert (await rebuilt.server()).image_id == NEW
    await undo(rebuilt)
    await assert_back(rebuilt)


async def test_a_system_whose_time_is_over_is_freed_and_not_gone_back_to(rebuilt: World) -> None:
    await ages(rebuilt, 1, hours=25)
    with pytest.raises(NothingToUndo, match="was kept until"):
        await ask_undo(rebuilt)
    await (await rebuilt.agent()).drop_expired()
    assert (rebuilt.files(), await rebuilt.generations()) == (["config-2.iso", "root-2.qcow2"], [2])
    assert runs(rebuilt) == 2
    with pytest.raises(NothingToUndo, match="not kept any more"):
        await ask_undo(rebuilt)


async def test_nothing_is_freed_before_its_time_nor_under_a_task(rebuilt: World) -> None:
    await ages(rebuilt, 1, hours=23)
    await (await rebuilt.agent()).drop_expired()
    assert await rebuilt.generations() == [1, 2]
    await ask_undo(rebuilt)
    await ages(rebuilt, 1, hours=25)
    await (await rebuilt.agent()).drop_expired()
    await rebuilt.work()
    await assert_back(rebuilt)


async def test_an_agent_killed_while_it_frees_a_system_leaves_that_to_the_next(
    rebuilt: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*_: object) -> None:
        raise Killed

    await ages(rebuilt, 1, hours=25)
    with monkeypatch.context() as patch:
        patch.setattr("renova.compute.generations.forget", killed)
        with pytest.raises(Killed):
            await (await rebuilt.agent()).drop_expired()
    rebuilt.conf.set_override("keep_previous", 1000, "rebuild")
    with pytest.raises(NothingToUndo, match="not kept any more"):
        await ask_undo(rebuilt)
    await (await rebuilt.agent()).drop_expired()
    assert (rebuilt.files(), await rebuilt.generations()) == (["config-2.iso", "root-2.qcow2"], [2])


async def test_on_failure_error_says_so_in_the_state_until_the_undo(
    rebuilt: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And that undo takes back the failed rebuild alone, of which there is nothing left to take back."""
    broken = with_step(operations.OPERATIONS["rebuild"], "fetch_image", before(ValueError("it broke")))
    was = rebuilt.running()
    with monkeypatch.context() as patch:
        patch.setitem(operations.OPERATIONS, "rebuild", broken)
        await rebuilt.ask_rebuild(NEWER, on_failure="error")
        await rebuilt.work()
    server = await rebuilt.server()
    assert (server.vm_state, server.task_state, server.generation) == ("error", None, 2)
    assert server.fault is not None
    assert rebuilt.running() == was
    await undo(rebuilt)
    server = await rebuilt.server()
    assert (server.vm_state, server.fault, server.generation, server.image_id) == ("active", None, 2, NEW)
    assert rebuilt.running() == was, "the system that ran all the time is not even touched"
    await undo(rebuilt)
    await assert_back(rebuilt)


@pytest.mark.parametrize("broken_undo", ["start_guest", "swap_generation", "stop_guest"])
async def test_a_rebuild_whose_restore_failed_can_be_undone(
    world: World, monkeypatch: pytest.MonkeyPatch, broken_undo: str
) -> None:
    failing = with_step(operations.OPERATIONS["rebuild"], "verify_guest", before(ValueError("it broke")))
    failing = with_undo(failing, broken_undo, before(OSError("and broke again")))
    with monkeypatch.context() as patch:
        patch.setitem(operations.OPERATIONS, "rebuild", failing)
        await world.ask_rebuild()
        await world.work()
    assert (await world.server()).vm_state == "error"
    for number in await world.generations():
        await ages(world, number, hours=25)
    await (await world.agent()).drop_expired()
    assert 1 in await world.generations(), "in ERROR no system is freed, however long it is kept"
    world.conf.set_override("keep_previous", 1000, "rebuild")
    await undo(world)
    server = await world.server()
    assert (server.vm_state, server.generation, server.fault) == ("active", 1, None)
    assert (server.name, server.image_id) == ("before", OLD)
    assert runs(world) == 1


async def test_a_hard_reboot_after_a_failed_restore_does_not_lose_the_way_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = with_step(operations.OPERATIONS["rebuild"], "verify_guest", before(ValueError("it broke")))
    failing = with_undo(failing, "start_guest", before(OSError("and broke again")))
    with monkeypatch.context() as patch:
        patch.setitem(operations.OPERATIONS, "rebuild", failing)
        await world.ask_rebuild()
        await world.work()
    await world.ask(begin_reboot, hard=True)
    await world.work()
    assert (await world.server()).generation == 2
    await undo(world)
    assert ((await world.server()).generation, runs(world)) == (1, 1)
