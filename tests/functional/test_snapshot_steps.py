"""createImage, failed and killed at every step; and a server rebuilt from what it made."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from renova.agent import operations
from renova.compute import snapshots
from renova.compute.power import begin_delete, begin_start, begin_stop
from renova.errors import ServerBusy
from tests.fake_glance import CALLER
from tests.functional.agent_world import Killed, World, Wrap, after, before, die_working, with_step, with_undo

STEPS = [step.name for step in operations.OPERATIONS["createImage"].steps]
FILES = ["config-1.iso", "root-1.qcow2"]


async def ask_image(world: World) -> str:
    """The id of an image that is to be made of the server."""
    record = {"name": "copy", "disk_format": "qcow2", "container_format": "bare"}
    image_id = await world.glance.client.create_image(record, CALLER)
    await world.ask(snapshots.begin_snapshot, image_id=image_id)
    return image_id


async def assert_untouched(world: World, was: tuple[int, int] | None) -> None:
    """The server is as if nothing had been asked of it."""
    server = await world.server()
    assert (server.vm_state, server.task_state, server.fault) == ("active", None, None)
    assert (world.running(), world.files()) == (was, FILES)


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
async def test_a_server_is_rebuilt_from_its_own_image(world: World, *, stopped: bool) -> None:
    if stopped:
        await world.ask(begin_stop)
        await world.work()
    image_id = await ask_image(world)
    assert (await world.server()).task_state == "image_snapshot"
    await world.work()
    server = await world.server()
    assert (server.vm_state, server.task_state) == ("stopped" if stopped else "active", None)
    assert world.files() == FILES
    image = await world.glance.client.peek(await world.image(image_id))
    assert (image.status, image.disk_format, image.virtual_size) == ("active", "qcow2", 1024**3)
    if stopped:
        await world.ask(begin_start)
        await world.work()
    await world.ask_rebuild(image_id)
    await world.work()
    assert (await world.server()).image_id == image_id


@pytest.mark.parametrize("moment", [before, after], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_failure_at_any_step_leaves_no_image(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, moment: Callable[[BaseException], Wrap]
) -> None:
    was = world.running()
    broken = with_step(operations.OPERATIONS["createImage"], step, moment(ValueError("it broke")))
    monkeypatch.setitem(operations.OPERATIONS, "createImage", broken)
    image_id = await ask_image(world)
    await world.work()
    await assert_untouched(world, was)
    assert image_id not in world.glance.records
    assert (await world.actions())[-1].message == f"Error: {step}: it broke"


@pytest.mark.parametrize("moment", [before, after], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_an_agent_killed_at_any_step_is_carried_on_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, moment: Callable[[BaseException], Wrap]
) -> None:
    was = world.running()
    image_id = await ask_image(world)
    with monkeypatch.context() as patch:
        broken = with_step(operations.OPERATIONS["createImage"], step, moment(Killed()))
        patch.setitem(operations.OPERATIONS, "createImage", broken)
        await die_working(world)
    await world.work()
    await assert_untouched(world, was)
    assert world.glance.records[image_id]["status"] == "active"
    assert (await world.actions())[-1].message is None


async def test_an_agent_killed_while_it_takes_the_image_back_is_carried_on_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    was = world.running()
    image_id = await ask_image(world)
    with monkeypatch.context() as patch:
        failing = with_step(
            operations.OPERATIONS["createImage"], "upload_image", before(ValueError("it broke"))
        )
        patch.setitem(operations.OPERATIONS, "createImage", with_undo(failing, "copy_disk", after(Killed())))
        await die_working(world)
    await world.work()
    await assert_untouched(world, was)
    assert image_id not in world.glance.records


async def test_data_that_broke_off_is_no_image(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Glance took the end of a connection for the end of the data."""
    was = world.running()
    image_id = await ask_image(world)
    with monkeypatch.context() as patch:
        broken = with_step(operations.OPERATIONS["createImage"], "upload_image", after(Killed()))
        patch.setitem(operations.OPERATIONS, "createImage", broken)
        await die_working(world)
    world.glance.records[image_id]["size"] -= 1
    await world.work()
    await assert_untouched(world, was)
    assert image_id not in world.glance.records


async def test_an_image_that_was_deleted_meanwhile(world: World) -> None:
    was = world.running()
    image_id = await ask_image(world)
    del world.glance.records[image_id]
    await world.work()
    await assert_untouched(world, was)
    assert "could not be found" in ((await world.actions())[-1].message or "")


async def test_a_glance_that_is_away_leaves_the_server_as_it_was(world: World) -> None:
    was = world.running()
    await ask_image(world)
    world.glance.down = True
    await world.work()
    await assert_untouched(world, was)


async def test_a_delete_takes_over_and_the_image_goes_too(world: World) -> None:
    image_id = await ask_image(world)
    await world.ask(begin_delete)
    await world.work()
    assert (await world.server()).deleted_at is not None
    assert image_id not in world.glance.records
    assert (world.running(), world.files()) == (None, [])


async def test_one_at_a_time(world: World) -> None:
    await ask_image(world)
    with pytest.raises(ServerBusy, match="Cannot 'createImage' instance"):
        await world.ask(snapshots.begin_snapshot, image_id=str(uuid4()))
