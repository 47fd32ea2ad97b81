"""A host whose disk is full has a PostgreSQL on that same disk: it crashes, and comes back when there is
room.
"""
# ruff: noqa: ASYNC110  A test waits for conditions.

import asyncio
import dataclasses
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from renova import jobs as renova_jobs
from renova.agent import operations, patience
from renova.agent.engine import Deed
from renova.agent.work import Work
from renova.cloud.errors import CloudError
from renova.cloud.postgres import Postgres, find_programs, unprivileged_user
from renova.db.session import make_engine
from renova.db.upgrade import upgrade
from tests import sample_images
from tests.functional.agent_world import NEW, STEPS, World, with_step
from tests.sample_images import MIB
from tests.small_disk import SmallDisk, small_disk
from tests.waiting import wait_until


class Database:
    """A PostgreSQL with our tables on a small disk."""

    def __init__(self, disk: SmallDisk, elsewhere: Path) -> None:
        self.disk = disk
        self._log = elsewhere / "postgres.log"
        self._log.unlink(missing_ok=True)
        user = unprivileged_user()
        password = elsewhere / "password"
        password.write_text("of no use to anybody")
        self._postgres = Postgres(
            data=disk.path / "postgres",
            sockets=elsewhere / "sockets",
            programs=find_programs(elsewhere / "programs", user),
            password_file=password,
            user=user,
            # It makes no segment before it needs one.
            settings=(("min_wal_size", "32MB"), ("wal_recycle", "off")),
        )
        self.url = self._postgres.url("postgres", "of no use to anybody", "postgres", "psycopg")
        self._postgres.prepare()
        self.start()
        upgrade(self.url)

    def start(self) -> None:
        with self._log.open("a") as log:
            self._process = subprocess.Popen(self._postgres.command, stdout=log, stderr=log)
        wait_until(self._postgres.ready, "PostgreSQL answers")

    def stop(self) -> None:
        self._process.send_signal(2)
        self._process.wait(30)

    def fill_up(self) -> None:
        """The disk is full, and PostgreSQL has ended of it: it can't begin another segment of its log."""
        self.disk.hog()
        while self._process.poll() is None:
            try:
                self._postgres.execute("SELECT pg_switch_wal() FROM pg_logical_emit_message(true, 'x', 'x')")
            except CloudError:
                self._process.wait(30)

    def said(self) -> str:
        return self._log.read_text()

    def recover(self) -> None:
        self.disk.release()
        self.start()


@pytest.fixture
def database_there(open_directory: Path) -> Iterator[Database]:
    elsewhere = open_directory / "full"
    elsewhere.mkdir(mode=0o711, exist_ok=True)
    with small_disk(192) as disk:
        database = Database(disk, elsewhere)
        yield database
        database.stop()


@pytest.fixture
async def world(database_there: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A host whose state directory and database are on the small disk, and one running server on it."""
    monkeypatch.setattr(patience, "AWAY", 0.05)
    engine = make_engine(database_there.url)
    app = renova_jobs.make_app(database_there.url)
    async with app.open_async():
        world = World(database_there.disk.path / "state", engine, app)
        await world.create()
        yield world
    await engine.dispose()


@pytest.mark.parametrize("moment", [*STEPS, "commit"])
async def test_a_rebuild_outlives_a_database_that_died_of_the_full_disk(
    world: World,
    database_there: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    moment: str,
) -> None:
    await world.ask_rebuild()
    full = asyncio.Event()

    async def fill_up() -> None:
        if not full.is_set():
            await asyncio.to_thread(database_there.fill_up)
            full.set()

    rebuild = operations.OPERATIONS["rebuild"]

    def wrap(do: Deed) -> Deed:
        async def deed(work: Work) -> None:
            await fill_up()
            await do(work)

        return deed

    async def commit(*arguments: Any) -> bool:
        await fill_up()
        return await rebuild.commit(*arguments)

    broken = (
        dataclasses.replace(rebuild, commit=commit)
        if moment == "commit"
        else with_step(rebuild, moment, wrap)
    )
    monkeypatch.setitem(operations.OPERATIONS, "rebuild", broken)
    worker = await world.agent()
    (task,) = await worker.sweep()
    async with asyncio.timeout(60):
        await full.wait()
        while "The database is away" not in caplog.text:
            await asyncio.sleep(0.02)
        assert not task.done()
        await asyncio.to_thread(database_there.recover)
        await task
    await world.assert_new()
    assert (await world.actions())[-1].message is None
    assert not list(database_there.disk.path.rglob("*.part"))
    assert "No space left on device" in database_there.said()
    assert caplog.text.count("The database is away") == 1


async def test_the_agents_own_unfinished_file_makes_room_for_the_mark_of_its_failure(
    world: World, database_there: Database
) -> None:
    disk = database_there.disk
    # Its bytes are not those that were promised, which is found when they are all here.
    world.glance.add(NEW, sample_images.raw(40 * MIB), "raw", os_hash_value="0" * 128)
    world.glance.hold.clear()
    world.glance.half_sent.clear()
    await world.ask_rebuild()
    worker = await world.agent()
    (task,) = await worker.sweep()
    async with asyncio.timeout(60):
        await world.glance.half_sent.wait()
        await asyncio.to_thread(database_there.fill_up)
        world.glance.hold.set()
        while list(disk.path.rglob("*.part")):
            await asyncio.sleep(0.02)
        await asyncio.to_thread(database_there.start)
        await task
    assert (disk.path / "hog").exists()
    await world.assert_old()
    # It is tried once more, since nothing could be written down of the first time.
    assert ((await world.actions())[-1].message or "").startswith("Error: fetch_image: ")
