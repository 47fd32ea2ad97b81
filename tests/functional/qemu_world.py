"""One host with a real QEMU and one server on it."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import procrastinate
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from renova.agent.qemu.hypervisor import QemuHypervisor
from renova.db.tables import Event
from tests.functional.agent_world import World

DEADLINE = 120.0


class QemuWorld(World):
    """Its directory is closed to every other user, as an agent's are."""

    def __init__(self, home: Path, engine: AsyncEngine, jobs: procrastinate.App) -> None:
        super().__init__(home, engine, jobs)
        self.conf.set_override("run_path", str(home / "run"))
        if os.geteuid() == 0:
            self.conf.set_override("qemu_user", "nobody", "compute")
        self.conf.set_override("accelerator", "tcg", "compute")
        self.conf.set_override("shutdown_timeout", 30, "compute")
        self.conf.set_override("agent_timeout", int(DEADLINE), "rebuild")
        self.agents_hypervisor = QemuHypervisor(self.conf)

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

    async def said_of(self, step: str) -> str | None:
        """What the newest event of this name says."""
        async with self.sessions() as session:
            newest = select(Event.details).where(Event.name == step).order_by(Event.id.desc()).limit(1)
            details: str | None = await session.scalar(newest)
            return details

    async def _console(self) -> str:
        return await self.agents_hypervisor.console_output(self.server_id, None)


@asynccontextmanager
async def qemu_world(engine: AsyncEngine, jobs: procrastinate.App) -> AsyncIterator[QemuWorld]:
    """Before its server is created, and until nothing is left of it."""
    home = Path(tempfile.mkdtemp(prefix="renova-"))
    world = QemuWorld(home, engine, jobs)
    yield world
    await world.agents_hypervisor.remove(world.server_id)
    await world.agents_hypervisor.close()
    shutil.rmtree(home)
