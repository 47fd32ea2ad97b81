"""Data disks and adminPass as a real Linux under a real QEMU finds them."""

import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import procrastinate
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from renova.compute.undo import Rules, begin_undo
from tests.functional.agent_world import NEW, OLD
from tests.functional.qemu_world import QemuWorld, qemu_world
from tests.guest.linux import shared_image

# What is on the ephemeral disk is told, then replaced by a line of this system's.
USER_DATA = b"""#!/bin/sh
mkdir -p /mnt/data
mount -t ext4 /dev/vdc /mnt/data && echo "guest note: $(cat /mnt/data/note 2>/dev/null || echo none)"
echo "by $(hostname)" >/mnt/data/note
umount /mnt/data
swapon /dev/vdd && echo "guest swap: $(grep -c ^/dev/vdd /proc/swaps)"
"""


Create = Callable[[dict[str, int]], Awaitable[QemuWorld]]


@pytest.fixture
async def create(
    engine: AsyncEngine, jobs: procrastinate.App, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Create]:
    """Makes the server, with data disks of these sizes."""
    image = shared_image(tmp_path_factory).read_bytes()
    async with qemu_world(engine, jobs) as world:
        for image_id in (OLD, NEW):
            world.glance.add(image_id, image, hw_qemu_guest_agent="yes")

        async def make(sizes: dict[str, int]) -> QemuWorld:
            user_data = base64.b64encode(USER_DATA).decode()
            await world.create(sizes=sizes, user_data=user_data, admin_pass="first")
            return world

        yield make


async def test_a_file_on_the_ephemeral_disk_survives_a_rebuild_of_noa(create: Create) -> None:
    world = await create({"ephemeral": 1, "swap": 16})
    await world.until_said("guest note: none", "guest swap: 1", "guest user data: exit status 0")
    await world.ask_rebuild()
    await world.work()
    await world.until_said("guest note: by before", "guest swap: 1", "guest user data: exit status 0")
    await world.ask(begin_undo, rules=Rules("noa", timedelta(hours=24), "restore"))
    await world.work()
    await world.until_said("guest boot: 2")


@pytest.mark.parametrize("method", ["auto", "respawn"])
async def test_it_stays_where_it_is_whichever_qemu_goes_on(create: Create, method: str) -> None:
    world = await create({"ephemeral": 1})
    world.conf.set_override("method", method, "rebuild")
    await world.until_said("guest note: none", "guest user data: exit status 1")
    before = world.agents_hypervisor.get(world.server_id)
    assert before is not None
    pid = before.pid
    await world.ask_rebuild()
    await world.work()
    await world.until_said("guest note: by before", "guest user data: exit status 1")
    after = world.agents_hypervisor.get(world.server_id)
    assert after is not None
    told = await world.said_of("start_guest")
    assert told is not None
    assert told.startswith("swap: " if method == "auto" else "respawn: ")
    assert after.spec.generation == 2
    assert (after.pid == pid) == (method == "auto")


async def test_under_nova_it_survives_only_where_that_is_asked_for(create: Create) -> None:
    world = await create({"ephemeral": 1, "swap": 16})
    await world.until_said("guest note: none", "guest user data: exit status 0")
    await world.ask_rebuild(profile="nova", preserve_ephemeral=True, admin_pass="sec ret")
    await world.work()
    digest = hashlib.sha256(b"sec ret").hexdigest()
    await world.until_said(f"guest password: root {digest}  -", "guest note: by before")
    await world.until_said("guest user data: exit status 0")
    await world.ask_rebuild(OLD, profile="nova")
    await world.work()
    await world.until_said("guest note: none", "guest swap: 1")
