"""Which generation made the ephemeral disk of each: several systems of a server may have one in common. And
the password that a guest is to be given, for as long as that takes.
"""

from alembic import op
from sqlalchemy import Column, Integer, Text

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    made_by = "the generation that made its ephemeral disk; null where it has none"
    op.add_column("generations", Column("ephemeral_generation", Integer(), comment=made_by))
    kept = "adminPass, a secret: until the action that is to set it has ended"
    op.add_column("generations", Column("admin_pass", Text(), comment=kept))
