"""Connections that PostgreSQL has ended."""

from sqlalchemy import text

from renova.db.session import Sessions, make_engine, make_sessions

# Returns when the process is gone, at most after so many milliseconds.
END = text("SELECT pg_terminate_backend(:pid, 10000)")


async def test_a_connection_that_was_ended_is_replaced_unseen(database: str, sessions: Sessions) -> None:
    """After a restart of PostgreSQL no request finds it out."""
    engine = make_engine(database, pool_size=2)
    pids = []
    for _ in range(2):
        async with make_sessions(engine).begin() as session:
            pids.append(await session.scalar(text("SELECT pg_backend_pid()")))
        async with sessions() as other:
            assert await other.scalar(END, {"pid": pids[-1]})
    await engine.dispose()
    assert len(set(pids)) == 2
