"""Engine and sessions: async SQLAlchemy over psycopg 3.

One transaction per request and per step: `async with sessions.begin() as session`.
"""

import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import psycopg
from psycopg.types.json import set_json_loads
from pydantic_core import from_json
from sqlalchemy import PoolProxiedConnection, event, exc
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

Sessions = async_sessionmaker[AsyncSession]
# What SQLAlchemy and psycopg raise when PostgreSQL is away, shutting down, out of connections or out of disk.
DATABASE_AWAY = (
    exc.OperationalError,
    exc.InterfaceError,
    exc.TimeoutError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
)
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
        # A transaction is asked for (`make_sessions`); what did not ask has none to roll back.
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "checkout", _refuse_dead)
    return engine


def _refuse_dead(connection: Any, *_: object) -> None:
    """Called by the pool with a connection that is about to be used; one that raises is replaced."""
    if is_dead(connection.driver_connection):
        raise exc.DisconnectionError


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


class Single(AsyncSession):
    """Each statement is a transaction of its own, without the two round trips of BEGIN and COMMIT. It sees
    what is committed when it begins, as in a transaction of PostgreSQL's usual kind.
    """

    async def __aexit__(self, *error: Any) -> None:
        # Where every statement went to a connection that was taken for it alone there is nothing to close.
        if self.in_transaction():
            await super().__aexit__(*error)


def make_sessions(engine: AsyncEngine) -> Sessions:
    transactions = engine.execution_options(isolation_level="READ COMMITTED")
    return async_sessionmaker(transactions, expire_on_commit=False)


def make_single(engine: AsyncEngine) -> Sessions:
    """Sessions for what only reads, and for a change that is one statement."""
    return async_sessionmaker(engine, class_=Single, expire_on_commit=False)


@asynccontextmanager
async def driver_connection(session: AsyncSession) -> AsyncIterator[psycopg.AsyncConnection]:
    """The psycopg connection under a session, in the session's own transaction if it has one."""
    if isinstance(session, Single) and not session.in_transaction():
        # It has no connection yet and needs none: to take one of the pool for this is a fifth of the work.
        assert isinstance(session.bind, AsyncEngine)
        pooled: PoolProxiedConnection = await session.bind.raw_connection()
        try:
            yield cast(psycopg.AsyncConnection, pooled.driver_connection)
        finally:
            pooled.close()
    else:
        raw = await (await session.connection()).get_raw_connection()
        yield cast(psycopg.AsyncConnection, raw.driver_connection)
