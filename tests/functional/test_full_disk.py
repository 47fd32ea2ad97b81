"""A host whose disk is full, or fills up at the worst moment. It is a real file system of a few MiB."""

import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import procrastinate
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from renova.agent import config_drive, operations, relief
from renova.agent.engine import Deed
from renova.agent.images import ImageCache
from renova.agent.qemu.face import NO_SPACE
from renova.agent.space import MIB, Space
from renova.agent.work import Work
from renova.compute import resize, snapshots
from renova.compute.quotas import Limits
from renova.compute.states import PowerState
from renova.db.tables import Flavor
from tests import sample_images
from tests.fake_glance import CALLER
from tests.functional.agent_world import NEW, World, with_step
from tests.small_disk import SmallDisk, small_disk

Hog = Callable[[], None]


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with small_disk(32) as disk:
        yield disk


@pytest.fixture
async def world(disk: SmallDisk, engine: AsyncEngine, jobs: procrastinate.App) -> World:
    world = World(disk.path / "state", engine, jobs)
    await world.create()
    return world


def cache_of(world: World) -> ImageCache:
    return ImageCache(world.images, "host1", world.sessions, world.glance.client)


async def cache_unused(world: World, name: str) -> str:
    """Name of the file of a base image of 4 MiB that no server has."""
    record = world.glance.add(name, sample_images.raw(4 * MIB) + name.encode().ljust(512), "raw")
    digest = f"sha512:{record['os_hash_value']}"
    base = await cache_of(world).ensure(name, digest, "raw", record["size"], progress=lambda *_: None)
    return base.path.name


def bases(world: World) -> set[str]:
    return {path.name for path in world.images.iterdir()}


async def ask_resize(world: World) -> None:
    async with world.sessions.begin() as session:
        flavor = Flavor(id="large", name="large", vcpus=2, ram=1024, disk=7)
        session.add(flavor)
    await world.ask(resize.begin_resize, limits=Limits.of(world.conf), flavor=flavor, disk_config=None)


async def ask_image(world: World) -> None:
    record = {"name": "copy", "disk_format": "qcow2", "container_format": "bare"}
    image_id = await world.glance.client.create_image(record, CALLER)
    await world.ask(snapshots.begin_snapshot, image_id=image_id)


# --- the reserve


@pytest.mark.parametrize(
    ("ask", "step"),
    [
        pytest.param(World.ask_rebuild, "fetch_image", id="rebuild"),
        pytest.param(ask_resize, "check_room", id="resize"),
        pytest.param(ask_image, "copy_disk", id="createImage"),
    ],
)
async def test_what_does_not_fit_is_refused_before_anything_is_touched(
    world: World, disk: SmallDisk, ask: Callable[[World], Awaitable[None]], step: str
) -> None:
    was = world.running()
    world.conf.set_override("reserve_mb", 8, "agent")
    disk.hog(leave=8 * MIB)
    free = disk.free()
    await ask(world)
    await world.work()
    await world.assert_old()
    assert world.running() == was
    message = (await world.actions())[-1].message or ""
    assert message.startswith(f"Error: {step}: The host's disk has 8 MiB left: too little for ")
    assert message.endswith(" MiB and the 8 MiB that are kept free.")
    assert disk.free() == free
    disk.release()
    await world.ask_rebuild()
    await world.work()
    assert (await world.server()).image_id == NEW


async def test_a_server_that_does_not_fit_is_not_begun(world: World, disk: SmallDisk) -> None:
    world.conf.set_override("reserve_mb", 8, "agent")
    disk.hog(leave=8 * MIB)
    await world.create()
    server = await world.server()
    assert (server.vm_state, server.task_state) == ("error", None)
    assert server.fault is not None
    assert server.fault["message"].startswith("Error: make_disks: The host's disk has 8 MiB left")
    assert world.files() == []


async def test_images_that_nobody_has_make_room_and_the_one_used_longest_ago_goes_first(
    world: World, disk: SmallDisk
) -> None:
    first, second = [await cache_unused(world, name) for name in ("first", "second")]
    await cache_unused(world, "first")  # It is used once more.
    needed = bases(world) - {first, second}
    world.conf.set_override("reserve_mb", 2, "agent")
    disk.hog(leave=2 * MIB)
    await world.ask_rebuild()
    await world.work()
    await world.assert_new()
    assert bases(world) >= needed | {first}
    assert second not in bases(world)


async def test_a_system_that_is_not_kept_any_more_goes_before_any_image(
    world: World, disk: SmallDisk
) -> None:
    await world.ask_rebuild()
    await world.work()
    assert "root-1.qcow2" in world.files()
    with (Path(world.conf.state_path) / "servers" / world.server_id / "root-1.qcow2").open("ab") as written:
        written.write(bytes(4 * MIB))
    unused = await cache_unused(world, "unused")
    world.conf.set_override("keep_previous", 0, "rebuild")
    disk.hog(leave=2 * MIB)
    rebuilt = world.server_id
    await world.create()
    assert (await world.server()).vm_state == "active"
    assert unused in bases(world)
    world.server_id = rebuilt
    assert world.files() == ["config-2.iso", "root-2.qcow2"]


# --- a disk that fills up in the middle


def before_the_fetch(patch: pytest.MonkeyPatch, hog: Hog) -> None:
    fallocate = os.posix_fallocate

    def full(descriptor: int, offset: int, size: int) -> None:
        hog()
        fallocate(descriptor, offset, size)

    patch.setattr("renova.agent.images.os.posix_fallocate", full)


def before_the_overlay(patch: pytest.MonkeyPatch, hog: Hog) -> None:
    def wrap(do: Deed) -> Deed:
        async def deed(work: Work) -> None:
            hog()
            await do(work)

        return deed

    broken = with_step(operations.OPERATIONS["rebuild"], "make_disks", wrap)
    patch.setitem(operations.OPERATIONS, "rebuild", broken)


def before_the_config_drive(patch: pytest.MonkeyPatch, hog: Hog) -> None:
    build = config_drive.build

    def full(*args: Any) -> None:
        hog()
        build(*args)

    patch.setattr(config_drive, "build", full)


MOMENTS = [
    pytest.param(before_the_fetch, "fetch_image", id="fetch"),
    pytest.param(before_the_overlay, "make_disks", id="overlay"),
    pytest.param(before_the_config_drive, "make_disks", id="config drive"),
]
Moment = Callable[[pytest.MonkeyPatch, Hog], None]


@pytest.mark.parametrize(("moment", "step"), MOMENTS)
async def test_a_disk_that_fills_up_leaves_the_old_system_and_nothing_else(
    world: World, disk: SmallDisk, moment: Moment, step: str
) -> None:
    was = world.running()
    with pytest.MonkeyPatch.context() as patch:
        moment(patch, lambda: disk.hog() if not (disk.path / "hog").exists() else None)
        await world.ask_rebuild()
        await world.work()
    await world.assert_old()
    assert world.running() == was
    message = (await world.actions())[-1].message or ""
    assert message.startswith(f"Error: {step}: No space left on the host's disk")
    assert not list(disk.path.rglob("*.part"))
    disk.release()
    await world.ask_rebuild()
    await world.work()
    assert (await world.server()).image_id == NEW


@pytest.mark.parametrize(("moment", "step"), MOMENTS)
async def test_a_disk_that_fills_up_is_made_room_on(
    world: World, disk: SmallDisk, moment: Moment, step: str
) -> None:
    unused = await cache_unused(world, "unused")
    with pytest.MonkeyPatch.context() as patch:
        moment(patch, lambda: disk.hog() if not (disk.path / "hog").exists() else None)
        await world.ask_rebuild()
        await world.work()
    assert (disk.path / "hog").exists()
    await world.assert_new()
    assert unused not in bases(world)


# --- guests that stand still


async def test_a_guest_that_stands_still_is_shown_and_goes_on_when_there_is_room(
    world: World, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relief, "LEAST", 4 * MIB)
    machine = await world.machine_of(1)
    machine.stalled = NO_SPACE
    disk.hog()
    look = relief_of(world, disk).look
    for _ in range(2):
        await look()
        server = await world.server()
        assert (server.vm_state, server.power_state) == ("active", PowerState.PAUSED)
        assert server.fault is not None
        assert server.fault["message"].startswith(f"The server stands still because {NO_SPACE}.")
    disk.release()
    await look()
    await look()
    server = await world.server()
    assert (server.vm_state, server.power_state, server.fault) == ("active", PowerState.RUNNING, None)


async def test_room_is_made_for_a_guest_that_stands_still(
    world: World, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relief, "LEAST", 4 * MIB)
    machine = await world.machine_of(1)
    machine.stalled = NO_SPACE
    unused = await cache_unused(world, "unused")
    disk.hog()
    await relief_of(world, disk).look()
    assert world.hypervisor.stalled() == []
    assert unused not in bases(world)


async def test_the_next_agent_puts_right_what_one_before_it_said(world: World, disk: SmallDisk) -> None:
    machine = await world.machine_of(1)
    machine.stalled = NO_SPACE
    disk.hog()
    await relief_of(world, disk).look()
    await machine.go_on()
    await relief_of(world, disk).look()
    assert (await world.server()).power_state == PowerState.RUNNING


async def test_a_new_system_that_stands_still_gives_way_to_the_old_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap = world.hypervisor.swap

    async def full(spec: Any) -> Any:
        machine = await swap(spec)
        machine.stalled = NO_SPACE if spec.generation == 2 else None
        return machine

    monkeypatch.setattr(world.hypervisor, "swap", full)
    await world.ask_rebuild()
    await world.work()
    await world.assert_old()
    assert (await world.actions())[
        -1
    ].message == f"Error: verify_guest: the new system stands still: {NO_SPACE}"


def relief_of(world: World, disk: SmallDisk) -> relief.Relief:
    space = Space(world.conf, (cache_of(world).evict,))
    return relief.Relief("host1", world.sessions, world.hypervisor, space)
