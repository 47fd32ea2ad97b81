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
from renova.agent.worker import Worker
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
    """A host with a real QEMU. An agent of it that starts adopts what runs."""

    def __init__(self, home: Path, sessions: Sessions, jobs: procrastinate.App, image: bytes) -> None:
        super().__init__(home, sessions, jobs)
        if os.geteuid() == 0:
            self.conf.set_override("qemu_user", "nobody", "compute")
        self.conf.set_override("shutdown_timeout", 30, "compute")
        self.conf.set_override("agent_timeout", int(DEADLINE), "rebuild")
        self.qemu = QemuHypervisor(self.conf)
        for image_id in (OLD, NEW):
            self.glance.add(image_id, image, hw_qemu_guest_agent="yes")

    async def agent(self) -> Worker:
        worker = await super().agent()
        worker._tools = type(worker._tools)(**vars(worker._tools) | {"hypervisor": self.qemu})
        return worker

    async def work(self) -> None:
        worker = await self.agent()
        await asyncio.wait_for(asyncio.gather(*await worker.sweep()), DEADLINE)

    async def until_said(self, line: str) -> None:
        async with asyncio.timeout(DEADLINE):
            while f"{line}\r\n" not in await self.qemu.console_output(self.server_id, None):
                await asyncio.sleep(0.1)
