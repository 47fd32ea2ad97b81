"""How work reaches an agent: Procrastinate on our own PostgreSQL.

A job carries an action's id and nothing else; the action row is the memory. Losing every job at any instant
loses nothing, since an agent sweeps for open actions of its host at its start and every 30 seconds.
"""

from typing import Any

import procrastinate
import psycopg
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession

from renova.db.session import driver_connection, is_dead

RUN_ACTION = "run_action"


def make_app(database_url: str) -> procrastinate.App:
    """The Procrastinate app for `[database] connection`; open it with `async with app.open_async()`."""
    url = make_url(database_url)
    # Not the URL itself: libpq and SQLAlchemy differ in how they quote a password.
    parts: dict[str, Any] = url.translate_connect_args(username="user", database="dbname") | dict(url.query)
    connector = procrastinate.PsycopgConnector(
        conninfo=make_conninfo(**parts),
        min_size=1,
        max_size=4,
        configure=_configure,
        pool_factory=_make_pool,
    )
    return procrastinate.App(connector=connector)


def _make_pool(**options: Any) -> AsyncConnectionPool:
    """Procrastinate's pool, but for the round trip with which it asks before each call whether the connection
    lives.
    """
    return AsyncConnectionPool(**{**options, "check": _check})


async def _configure(connection: psycopg.AsyncConnection) -> None:
    """Each of Procrastinate's calls is one statement: it needs no BEGIN and no COMMIT."""
    await connection.set_autocommit(True)


async def _check(connection: psycopg.AsyncConnection) -> None:
    if is_dead(connection):
        # Else the pool would keep it, and offer it again.
        await connection.close()
        raise psycopg.OperationalError("the connection is gone")


def queue_of(host: str) -> str:
    """One queue per host: a job of a dead host is never run elsewhere, because the disk is there."""
    return f"host:{host}"


async def defer_action(app: procrastinate.App, session: AsyncSession, *, action_id: str, host: str) -> None:
    """Queue an action in the session's own transaction: it exists if and only if what it is about does."""
    async with driver_connection(session) as connection:
        task = app.configure_task(RUN_ACTION, queue=queue_of(host), connection=connection)
        await task.defer_async(action_id=action_id)
