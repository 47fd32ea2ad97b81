"""Engine and sessions: async SQLAlchemy over psycopg 3.

One transaction per request and per step: `async with sessions.begin() as session`.
"""

import select
from typing import Any, cast

import psycopg
from psycopg.types.json import set_json_loads
from pydantic_core import from_json
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

Sessions = async_sessionmaker[AsyncSession]
# A row of a server has eight documents: the standard library takes eight times as long to read them.
set_json_loads(from_json)


def make_engine(url: str, pool_size: int = 10) -> AsyncEngine:
    """An engine for `[database] connection` (postgresql+psycopg://…). A connection that died is replaced
    on use. What it complains of never shows the values of a statement: some are secrets of users.
    """
    # The connection that was used last comes first: it has its statements prepared, and the others may rest.
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        # One above the size would be made and ended for each use.
        max_overflow=0,
        pool_use_lifo=True,
        # What asked for no transaction has none to roll back.
        skip_autocommit_rollback=True,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "checkout", _refuse_dead)
    return engine


def _refuse_dead(connection: Any, *_: object) -> None:
    """Called by the pool with a connection that is about to be used; one that raises is replaced."""
    if is_dead(connection.driver_connection):
        raise DisconnectionError


def is_dead(connection: psycopg.AsyncConnection) -> bool:
    """Whether an idle connection can't be used any more.

    PostgreSQL says nothing to an idle client but that it goes away: what can be read is its farewell, or the
    end. To ask it (`pool_pre_ping`) is a round trip more for every transaction.
    """
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def make_sessions(engine: AsyncEngine) -> Sessions:
    return async_sessionmaker(engine, expire_on_commit=False)


def make_single(engine: AsyncEngine) -> Sessions:
    """Sessions for what only reads, and for a change that is one statement. Each statement sees what is
    committed when it begins, as in a transaction of PostgreSQL's usual kind, and is a transaction of its own,
    without the two round trips of BEGIN and COMMIT.
    """
    return make_sessions(engine.execution_options(isolation_level="AUTOCOMMIT"))


async def driver_connection(session: AsyncSession) -> psycopg.AsyncConnection:
    """The psycopg connection under a session, in the session's own transaction."""
    raw = await (await session.connection()).get_raw_connection()
    return cast(psycopg.AsyncConnection, raw.driver_connection)
