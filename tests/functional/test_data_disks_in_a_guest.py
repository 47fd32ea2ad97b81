"""Data disks and adminPass as a real Linux under a real QEMU finds them."""

import asyncio
import base64
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import procrastinate
import pytest

from renova.agent.qemu.hypervisor import QemuHypervisor
from renova.compute.undo import Rules, begin_undo
from renova.db.session import Sessions
from tests.functional.agent_world import NEW, OLD, World
from tests.guest.linux import shared_image

DEADLINE = 120.0
# What is on the ephemeral disk is told, then replaced by a line of this system's.
USER_DATA = b"""#!/bin/sh
mkdir -p /mnt/data
mount -t ext4 /dev/vdc /mnt/data && echo "guest note: $(cat /mnt/data/note 2>/dev/null || echo none)"
echo "by $(hostname)" >/mnt/data/note
umount /mnt/data
swapon /dev/vdd && echo "guest swap: $(grep -c ^/dev/vdd /proc/swaps)"
"""


class QemuWorld(World):
    """A host with a real QEMU, whose guests are small Linuxes with a guest agent."""

    def __init__(self, home: Path, sessions: Sessions, jobs: procrastinate.App, image: bytes) -> None:
        super().__init__(home, sessions, jobs)
        self.conf.set_override("run_path", str(home / "run"))
        if os.geteuid() == 0:
            self.conf.set_override("qemu_user", "nobody", "compute")
        self.conf.set_override("shutdown_timeout", 30, "compute")
        self.conf.set_override("agent_timeout", int(DEADLINE), "rebuild")
        self.agents_hypervisor = QemuHypervisor(self.conf)
        for image_id in (OLD, NEW):
            self.glance.add(image_id, image, hw_qemu_guest_agent="yes")

    async def work(self) -> None:
        worker = await self.agent()
        await asyncio.wait_for(asyncio.gather(*await worker.sweep()), DEADLINE)
        assert (await self.server()).vm_state == "active"

    async def until_said(self, *lines: str) -> None:
        """The system that runs now has said each of these."""
        async with asyncio.timeout(DEADLINE):
            for line in lines:
                while f"{line}\r\n" not in await self._console():  # noqa: ASYNC110  A guest tells nobody.
                    await asyncio.sleep(0.1)

    async def _console(self) -> str:
        return await self.agents_hypervisor.console_output(self.server_id, None)


@pytest.fixture
async def world(
    sessions: Sessions, jobs: procrastinate.App, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[QemuWorld]:
    """Closed to every other user, as an agent's directories are."""
    home = Path(tempfile.mkdtemp(prefix="renova-"))
    world = QemuWorld(home, sessions, jobs, shared_image(tmp_path_factory).read_bytes())
    await world.create(
        sizes={"ephemeral": 1, "swap": 16}, user_data=base64.b64encode(USER_DATA).decode(), admin_pass="first"
    )
    yield world
    await world.agents_hypervisor.remove(world.server_id)
    await world.agents_hypervisor.close()
    shutil.rmtree(home)


async def test_a_file_on_the_ephemeral_disk_survives_a_rebuild_of_noa(world: QemuWorld) -> None:
    await world.until_said("guest note: none", "guest swap: 1", "guest user data: exit status 0")
    await world.ask_rebuild()
    await world.work()
    await world.until_said("guest note: by before", "guest swap: 1", "guest user data: exit status 0")
    await world.ask(begin_undo, rules=Rules("noa", timedelta(hours=24), "restore"))
    await world.work()
    await world.until_said("guest boot: 2")


async def test_under_nova_it_survives_only_where_that_is_asked_for(world: QemuWorld) -> None:
    await world.until_said("guest note: none", "guest user data: exit status 0")
    await world.ask_rebuild(profile="nova", preserve_ephemeral=True, admin_pass="sec ret")
    await world.work()
    digest = hashlib.sha256(b"sec ret").hexdigest()
    await world.until_said(f"guest password: root {digest}  -", "guest note: by before")
    await world.until_said("guest user data: exit status 0")
    await world.ask_rebuild(OLD, profile="nova")
    await world.work()
    await world.until_said("guest note: none", "guest swap: 1")
