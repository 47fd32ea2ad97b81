"""Work: one action under way on this host, and what its steps need to do it."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from oslo_config import cfg
from sqlalchemy import select, update
from sqlalchemy.orm import selectinload

from renova.agent.images import ImageCache
from renova.agent.networks.face import Networks
from renova.agent.qemu.face import Hypervisor
from renova.agent.space import Space
from renova.clients.glance import Glance
from renova.compute.generations import admin_pass_of, get_generation
from renova.db.session import Sessions
from renova.db.tables import Action, Generation, Port, Server

T = TypeVar("T")
# What a rebuild's progress is when a step has been done; fetching the image fills the range up to FETCHED.
FETCHED, PREPARED, STOPPED, SWAPPED, STARTED, ALIVE = 40, 50, 60, 65, 75, 95


class Interrupted(Exception):
    """Another action has taken the server over."""


class StepFailed(Exception):
    """A step could not be done; the message is for the server's owner."""


@dataclass(frozen=True)
class Tools:
    """What an agent works with, the same for every action."""

    conf: cfg.ConfigOpts
    sessions: Sessions
    hypervisor: Hypervisor
    images: ImageCache
    glance: Glance
    space: Space
    networks: Networks


@dataclass
class Work:
    tools: Tools
    action: Action
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)
    remark: str | None = None
    message: str | None = None
    percent: int = 0

    def reached(self, percent: int) -> None:
        """How far the action is when the step under way has ended; it is shown with the step's end."""
        self.percent = percent

    def note(self, line: str) -> None:
        """What the owner should know of the step under way: the details of its event, where it succeeds."""
        self.remark = line

    def tell(self, line: str) -> None:
        """What the owner should know of the action, though it succeeds: its message."""
        self.message = line

    async def server(self) -> Server:
        """The row as it is now, with ports and networks."""
        async with self.tools.sessions() as session:
            rows = await session.scalars(
                select(Server)
                .where(Server.id == self.action.server_id)
                .options(selectinload(Server.ports).selectinload(Port.network))
            )
            return rows.one()

    async def generation(self, number: int) -> Generation:
        async with self.tools.sessions() as session:
            return await get_generation(session, self.action.server_id, number)

    async def admin_pass(self, number: int) -> str | None:
        """The password that the guest of a generation is still to be given; None under profile noa."""
        async with self.tools.sessions() as session:
            return await admin_pass_of(session, self.action.server_id, number)

    async def progress(self, percent: int) -> None:
        """Show how far the action is, in the midst of a step. Not a change of the server: `updated` stays as
        it is.
        """
        async with self.tools.sessions.begin() as session:
            await session.execute(
                update(Server)
                .where(Server.id == self.action.server_id, Server.progress < percent)
                .values(progress=percent)
            )

    async def unless_interrupted(self, waiting: Coroutine[Any, Any, T]) -> T:
        """Wait for what may be given up at any point. Raises Interrupted as soon as another action takes
        over.
        """
        wanted = asyncio.create_task(waiting)
        interruption = asyncio.create_task(self.interrupted.wait())
        try:
            await asyncio.wait({wanted, interruption}, return_when=asyncio.FIRST_COMPLETED)
            if wanted.done():
                return wanted.result()
            raise Interrupted
        finally:
            for task in (wanted, interruption):
                task.cancel()
            await asyncio.gather(wanted, interruption, return_exceptions=True)
