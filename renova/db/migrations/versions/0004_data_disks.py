"""Which generation made the ephemeral disk of each: several systems of a server may have one in common."""

from alembic import op
from sqlalchemy import Column, Integer

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column(
        "generations",
        Column(
            "ephemeral_generation",
            Integer(),
            nullable=True,
            comment="the generation that made its ephemeral disk; null where it has none",
        ),
    )
