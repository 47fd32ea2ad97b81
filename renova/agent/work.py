"""Work: one action under way on this host, and what its steps need to do it."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from oslo_config import cfg
from sqlalchemy import bindparam, select, update
from sqlalchemy.orm.attributes import set_committed_value

from renova.agent.images import ImageCache
from renova.agent.networks.face import Networks
from renova.agent.qemu.face import Hypervisor
from renova.agent.space import Space
from renova.clients.glance import Glance
from renova.db.session import Sessions
from renova.db.statements import Columns, Statement
from renova.db.tables import Action, Generation, Network, Port, Server

T = TypeVar("T")
# What a rebuild's progress is when a step has been done; fetching the image fills the range up to FETCHED.
FETCHED, PREPARED, STOPPED, SWAPPED, STARTED, ALIVE = 40, 50, 60, 65, 75, 95
_action, _server, _generation = Columns(Action), Columns(Server), Columns(Generation)
_port, _network = Columns(Port), Columns(Network)
_SYSTEMS = Statement(
    select(*_action.all, *_server.all, *_generation.all)
    .where(Action.id == bindparam("id"), Server.id == Action.server_id)
    .outerjoin(Generation, Generation.server_id == Server.id)
)
_PORTS = Statement(
    select(*_port.all, *_network.all)
    .where(Action.id == bindparam("id"), Port.server_id == Action.server_id, Network.id == Port.network_id)
    .order_by(Port.position)
)
_servers = Server.__table__
_PROGRESS = Statement(
    update(_servers)
    .where(_servers.c.id == bindparam("server_id"), _servers.c.progress < bindparam("percent"))
    .values(progress=bindparam("percent"))
)


class Interrupted(Exception):
    """Another action has taken the server over."""


class StepFailed(Exception):
    """A step could not be done; the message is for the server's owner."""


@dataclass(frozen=True)
class Tools:
    """What an agent works with, the same for every action. `single` are sessions for one statement each."""

    conf: cfg.ConfigOpts
    sessions: Sessions
    single: Sessions
    hypervisor: Hypervisor
    images: ImageCache
    glance: Glance
    space: Space
    networks: Networks


@dataclass
class Work:
    """`server` is the row with ports and networks, `generations` are its rows by their numbers: all as they
    were when the work was taken up. As long as the action is under way, nobody changes what a step reads of
    them but the step that makes another generation the server's (see `current_generation`). What a step marks
    in the table it marks here too.
    """

    tools: Tools
    action: Action
    server: Server
    generations: dict[int, Generation]
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)
    remark: str | None = None
    message: str | None = None
    percent: int = 0

    @classmethod
    async def of(cls, tools: Tools, action_id: str) -> Self | None:
        """With everything that steps read, in one go; None where there is no such action."""
        this = {"id": action_id}
        async with tools.single() as session:
            rows, plugs = await asyncio.gather(_SYSTEMS.rows(session, this), _PORTS.rows(session, this))
        if not rows:
            return None
        first, second = len(_action.all), len(_action.all) + len(_server.all)
        action, server = _action.make(rows[0][:first]), _server.make(rows[0][first:second])
        # Of a server that has been deleted there are none.
        generations = [_generation.make(row[second:]) for row in rows if row[second] is not None]
        width = len(_port.all)
        ports = [_port.make(row[:width]) for row in plugs]
        for port, row in zip(ports, plugs, strict=True):
            set_committed_value(port, "network", _network.make(row[width:]))
        set_committed_value(server, "ports", ports)
        return cls(tools, action, server, {generation.number: generation for generation in generations})

    def reached(self, percent: int) -> None:
        """How far the action is when the step under way has ended; it is shown with the step's end."""
        self.percent = percent

    def note(self, line: str) -> None:
        """What the owner should know of the step under way: the details of its event, where it succeeds."""
        self.remark = line

    def tell(self, line: str) -> None:
        """What the owner should know of the action, though it succeeds: its message."""
        self.message = line

    async def current_generation(self) -> int:
        """The number of the one that is the server's now."""
        async with self.tools.single() as session:
            statement = select(Server.generation).where(Server.id == self.action.server_id)
            return (await session.scalars(statement)).one()

    async def progress(self, percent: int) -> None:
        """Show how far the action is, in the midst of a step. Not a change of the server: `updated` stays as
        it is.
        """
        async with self.tools.single() as session:
            await _PROGRESS.run(session, {"server_id": self.action.server_id, "percent": percent})

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
