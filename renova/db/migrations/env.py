"""Run by Alembic for every command; the connection comes from renova.db.upgrade."""

from alembic import context
from sqlalchemy import text

from renova.db.tables import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata)
with context.begin_transaction():
    # Several API replicas may be started at once; the second finds everything done.
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('renova migrations'))"))
    context.run_migrations()
