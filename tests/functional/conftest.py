"""Real services for the functional tests: `database`, a PostgreSQL with our tables; `cloud`, all of it."""

import itertools
import subprocess
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import procrastinate
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from renova import jobs as renova_jobs
from renova.cloud.postgres import Postgres, find_programs, unprivileged_user
from renova.db.session import Sessions, make_engine, make_sessions
from renova.db.upgrade import upgrade
from tests.functional import shared_cloud
from tests.functional.agent_world import World
from tests.functional.cloud_client import Client
from tests.functional.machines import (  # noqa: F401  Fixtures.
    conf,
    hypervisor,
    make_spec,
    next_hypervisor,
    place,
)
from tests.functional.shared_cloud import Cloud, Logs
from tests.waiting import wait_until


@pytest.fixture(scope="session")
def postgres(open_directory: Path) -> Iterator[Postgres]:
    """An empty PostgreSQL of this worker's own. It may forget on a power cut, which makes it quick."""
    home, user = open_directory, unprivileged_user()
    server = Postgres(
        data=home / "postgres",
        sockets=home / "sockets",
        programs=find_programs(home / "postgres-programs", user),
        password_file=home / "postgres-password",
        user=user,
        settings=(("fsync", "off"), ("full_page_writes", "off"), ("synchronous_commit", "off")),
    )
    server.password_file.write_text("of no use to anybody")
    server.prepare()
    with (
        (home / "postgres.log").open("w") as log,
        subprocess.Popen(server.command, stdout=log, stderr=log) as process,
    ):
        wait_until(server.ready, "PostgreSQL answers")
        yield server
        process.send_signal(2)


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    """Name of a database with our tables, which every test gets a copy of."""
    postgres.execute("CREATE DATABASE template_renova")
    upgrade(_url(postgres, "template_renova"))
    return "template_renova"


_numbers = itertools.count()


@pytest.fixture
def database(postgres: Postgres, template: str) -> Iterator[str]:
    """URL of a database with our tables, the default flavors and the network 'private', for one test."""
    name = f"test_{next(_numbers)}"
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield _url(postgres, name)
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def engine(database: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(database)
    yield engine
    await engine.dispose()


@pytest.fixture
def sessions(engine: AsyncEngine) -> Sessions:
    """What the API and the agent make their transactions from: `async with sessions.begin() as session`."""
    return make_sessions(engine)


@pytest.fixture
async def jobs(database: str) -> AsyncIterator[procrastinate.App]:
    """Procrastinate on `database`, open."""
    app = renova_jobs.make_app(database)
    async with app.open_async():
        yield app


def _url(postgres: Postgres, name: str) -> str:
    return postgres.url("postgres", postgres.password_file.read_text(), name, "psycopg")


@pytest.fixture
async def world(tmp_path: Path, engine: AsyncEngine, jobs: procrastinate.App) -> World:
    """A host without QEMU, and one running server on it."""
    world = World(tmp_path, engine, jobs)
    await world.create()
    return world


@pytest.fixture(scope="session")
def cloud(testrun_uid: str) -> Iterator[Cloud]:
    """A whole cloud, shared by all workers of this run: a test makes servers of its own and deletes them."""
    home = Path(tempfile.gettempdir()) / f"renova-cloud-{testrun_uid[:8]}"
    with shared_cloud.joined(home) as running:
        yield running


@pytest.fixture
def client(cloud: Cloud, tmp_path: Path) -> Iterator[Client]:
    """A member of the cloud; what it makes is deleted when the test ends."""
    client = Client(cloud, tmp_path)
    yield client
    client.close()


@pytest.fixture(autouse=True)
def cloud_logs(request: pytest.FixtureRequest) -> None:
    """Remember where the logs end, for a test that uses the cloud."""
    if "cloud" in request.fixturenames:
        request.node.stash[LOGS] = Logs.from_now(request.getfixturevalue("cloud"))


LOGS = pytest.StashKey[Logs]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test's report carries what the API, the agent and the guests said meanwhile."""
    report = yield
    if report.failed and LOGS in item.stash:
        report.sections.extend(item.stash[LOGS].said())
    return report
