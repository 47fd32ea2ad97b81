"""The migrations and renova.db.tables must say the same, and old code must not touch a newer database."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from renova.db import upgrade
from renova.db.session import Sessions
from renova.db.tables import Base


def test_migrated_tables_are_those_of_the_code(database: str) -> None:
    def ours(name: str | None, _kind: str, _parents: object) -> bool:
        return not (name or "").startswith("procrastinate_")

    with create_engine(database, poolclass=NullPool).connect() as connection:
        options = {"include_name": ours, "compare_server_default": True}
        difference = compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)
    assert difference == []


def test_upgrade_twice_is_upgrade_once(database: str) -> None:
    upgrade.upgrade(database)


async def test_older_code_refuses_a_newer_database(database: str, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(upgrade.NewerSchema, match="9999"):
        upgrade.upgrade(database)
