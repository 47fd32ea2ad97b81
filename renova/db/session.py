"""Engine and sessions: async SQLAlchemy over psycopg 3.

One transaction per request and per step: `async with sessions.begin() as session`.
"""

from typing import cast

import psycopg
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

Sessions = async_sessionmaker[AsyncSession]


def make_engine(url: str, pool_size: int = 5) -> AsyncEngine:
    """An engine for `[database] connection` (postgresql+psycopg://…). A connection that died is replaced
    on use. What it complains of never shows the values of a statement: some are secrets of users.
    """
    return create_async_engine(
        url, pool_size=pool_size, max_overflow=pool_size, pool_pre_ping=True, hide_parameters=True
    )


def make_sessions(engine: AsyncEngine) -> Sessions:
    return async_sessionmaker(engine, expire_on_commit=False)


async def driver_connection(session: AsyncSession) -> psycopg.AsyncConnection:
    """The psycopg connection under a session, in the session's own transaction."""
    raw = await (await session.connection()).get_raw_connection()
    return cast(psycopg.AsyncConnection, raw.driver_connection)
