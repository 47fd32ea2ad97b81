"""The job queue as an agent uses it."""

import asyncio

import procrastinate
from sqlalchemy import text

from renova.db.session import Sessions
from renova.jobs import defer_action, queue_of
from tests.functional.test_session import END

NEVER = 3600.0
LISTENERS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN%'"
)


async def test_a_job_wakes_who_listens(jobs: procrastinate.App, sessions: Sessions) -> None:
    """It looks once at its start, before it listens. After that nobody looks who was not told to."""
    woken: asyncio.Queue[str] = asyncio.Queue()

    @jobs.task(name="run_action")
    async def run_action(action_id: str) -> None:
        await woken.put(action_id)

    listening = asyncio.create_task(
        jobs.run_worker_async(
            queues=[queue_of("host1")], fetch_job_polling_interval=NEVER, install_signal_handlers=False
        )
    )
    async with asyncio.timeout(30), sessions() as session:
        while not await session.scalar(LISTENERS):
            await asyncio.sleep(0.02)
            await session.rollback()  # Within a transaction the statistics stand still.
    for action_id in ("first", "second"):
        async with sessions.begin() as session:
            await defer_action(jobs, session, action_id=action_id, host="host1")
        async with asyncio.timeout(30):
            assert await woken.get() == action_id
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_a_connection_that_was_ended_is_replaced_unseen(
    jobs: procrastinate.App, sessions: Sessions
) -> None:
    pids = []
    for _ in range(2):
        row = await jobs.connector.execute_query_one_async("SELECT pg_backend_pid() AS pid")
        pids.append(row["pid"])
        async with sessions() as other:
            assert await other.scalar(END, {"pid": pids[-1]})
    assert len(set(pids)) == 2
