"""The systems that are kept for undoRebuild, until `[rebuild] keep_previous` hours are over."""

import logging
from datetime import UTC, datetime, timedelta

from oslo_config import cfg
from sqlalchemy import Select, or_, select, update

from renova.agent import removal
from renova.compute.states import VmState
from renova.db.session import Sessions
from renova.db.tables import Generation, Server

log = logging.getLogger(__name__)


async def drop_expired(conf: cfg.ConfigOpts, sessions: Sessions) -> bool:
    """Free the disks of every kept generation of this host whose time is over; whether there was one.

    Never the one that is a server's, none of a server with a task under way, and none of one in ERROR: there
    it may be what is left to go back to. A mark comes first (`prepared_at` is taken away, so that no undo
    begins any more), the files go next and the row last: a kill in between leaves what the next call
    finishes.
    """
    async with sessions() as session:
        expired = list(await session.execute(_expired(conf)))
    dropped = False
    for server_id, number in expired:
        if not await _mark(conf, sessions, server_id, number):
            continue
        try:
            await removal.drop(conf.state_path, sessions, server_id, [number])
        except OSError as error:
            log.warning("server %s: generation %s can't be removed: %s", server_id, number, error)
            continue
        dropped = True
    return dropped


def _expired(conf: cfg.ConfigOpts) -> Select[str, int]:
    before = datetime.now(UTC) - timedelta(hours=conf.rebuild.keep_previous)
    return (
        select(Generation.server_id, Generation.number)
        .join(Server, Server.id == Generation.server_id)
        .where(
            Server.host == conf.host,
            Server.task_state.is_(None),
            Server.vm_state != VmState.ERROR,
            Server.generation != Generation.number,
            Generation.superseded_at.is_not(None),
            or_(Generation.superseded_at <= before, Generation.prepared_at.is_(None)),
        )
    )


async def _mark(conf: cfg.ConfigOpts, sessions: Sessions, server_id: str, number: int) -> bool:
    """Whether the generation may go: decided anew, while no request can change the server's row."""
    async with sessions.begin() as session:
        await session.execute(select(Server.id).where(Server.id == server_id).with_for_update())
        this = (Generation.server_id == server_id, Generation.number == number)
        if (await session.execute(_expired(conf).where(*this))).one_or_none() is None:
            return False
        await session.execute(update(Generation).where(*this).values(prepared_at=None))
        return True
