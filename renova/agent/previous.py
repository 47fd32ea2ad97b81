"""The systems that are kept for undoRebuild, until `[rebuild] keep_previous` hours are over."""

import logging
from datetime import UTC, datetime, timedelta

from oslo_config import cfg
from sqlalchemy import or_, select

from renova.agent import disks
from renova.agent.files import in_thread
from renova.compute.generations import forget
from renova.db.session import Sessions
from renova.db.tables import Generation, Server

log = logging.getLogger(__name__)


async def drop_expired(conf: cfg.ConfigOpts, sessions: Sessions) -> bool:
    """Free the disks of every kept generation of this host whose time is over; whether there was one.

    Never the one that is a server's, and none of a server with a task under way. A mark comes first
    (`prepared_at` is taken away, so that no undo begins any more), the files go next and the row last: a kill
    in between leaves what the next call finishes.
    """
    dropped = False
    for server_id, number in await _expired(conf, sessions):
        if not await _mark(sessions, server_id, number):
            continue
        directory = disks.server_directory(conf.state_path, server_id)
        try:
            await in_thread(disks.remove, directory, number)
        except OSError as error:
            log.warning("server %s: generation %s can't be removed: %s", server_id, number, error)
            continue
        async with sessions.begin() as session:
            await forget(session, server_id, [number])
        dropped = True
    return dropped


async def _expired(conf: cfg.ConfigOpts, sessions: Sessions) -> list[tuple[str, int]]:
    before = datetime.now(UTC) - timedelta(hours=conf.rebuild.keep_previous)
    async with sessions() as session:
        rows = await session.execute(
            select(Generation.server_id, Generation.number)
            .join(Server, Server.id == Generation.server_id)
            .where(
                Server.host == conf.host,
                Server.task_state.is_(None),
                Server.generation != Generation.number,
                or_(
                    Generation.superseded_at <= before,
                    Generation.superseded_at.is_not(None) & Generation.prepared_at.is_(None),
                ),
            )
        )
        return [(server_id, number) for server_id, number in rows]


async def _mark(sessions: Sessions, server_id: str, number: int) -> bool:
    """Whether the generation may go: decided anew, while no request can change the server's row."""
    async with sessions.begin() as session:
        server = await session.scalar(select(Server).where(Server.id == server_id).with_for_update())
        generation = await session.get(Generation, (server_id, number))
        if server is None or server.task_state is not None or generation is None:
            return False
        if server.generation == number or generation.superseded_at is None:
            return False
        generation.prepared_at = None
        return True
