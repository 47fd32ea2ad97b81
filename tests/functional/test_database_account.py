"""The account that the API and the agents have in the database is powerful. What it can't do."""

import pytest
from sqlalchemy import create_engine, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from renova.compute.snapshots import begin_snapshot
from renova.db.tables import Action, Generation
from tests.functional.agent_world import NEW, World
from tests.functional.cloud_client import Client

RIGHTS = """\
SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication FROM pg_roles WHERE rolname = current_user
"""


def test_it_rules_its_own_database_and_no_other(client: Client) -> None:
    url = client.cloud.state.database_url("renova", "psycopg")
    with create_engine(url, poolclass=NullPool).connect() as connection:
        assert connection.scalar(text(RIGHTS)) is False
    head, _, query = url.partition("?")
    for database in ("keystone", "glance"):
        other = f"{head.rpartition('/')[0]}/{database}?{query}"
        with pytest.raises(OperationalError, match=f'permission denied for database "{database}"'):
            create_engine(other, poolclass=NullPool).connect()


@pytest.mark.parametrize("digest", ["sha512:/../../../../etc/shadow", "../secrets/agent:x", "sha512:"])
async def test_a_digest_leads_to_no_other_file_of_the_host(world: World, digest: str) -> None:
    """Written past the API, into a rebuild that has begun."""
    await world.ask_rebuild(NEW)
    async with world.sessions.begin() as session:
        await session.execute(update(Generation).where(Generation.number == 2).values(digest=digest))
    await world.work()
    await world.assert_old()


async def test_an_id_leads_to_no_other_file_of_the_host(world: World) -> None:
    victim = world.images.parent / "victim.qcow2"
    victim.write_text("of somebody else")
    await world.ask(begin_snapshot, image_id=NEW)
    async with world.sessions.begin() as session:
        detail = {"image_id": "x/../../../victim"}
        (world.images.parent / "servers" / world.server_id / "snapshot-x").mkdir()
        await session.execute(update(Action).where(Action.action == "createImage").values(detail=detail))
    await world.work()
    assert victim.read_text() == "of somebody else"
