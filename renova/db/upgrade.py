"""Bring a database to the tables that this code knows: `renova db upgrade`, also a part of `renova up`."""

from pathlib import Path

from renova.errors import RenovaError

MIGRATIONS = Path(__file__).parent / "migrations"


class NewerSchema(RenovaError):
    """The database was made by a newer Renova."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"the database is at revision {found}, this Renova knows {head()} at most; use a newer one"
        )


def head() -> str:
    """The newest revision. Read from the file names, so that asking costs no import of Alembic."""
    return max(file.name.partition("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def upgrade(url: str) -> None:
    """Run every missing migration on the database at `url` (postgresql+psycopg://…), in one transaction.

    Raises NewerSchema if it is beyond what this code knows; nothing was touched then.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    with create_engine(url, poolclass=NullPool).begin() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
        if found is not None and found > head():
            raise NewerSchema(found)
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
