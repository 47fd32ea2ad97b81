"""Since when a generation is only kept for going back to it: its disks are freed when that time is over."""

from alembic import op
from sqlalchemy import Column, DateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column(
        "generations",
        Column(
            "superseded_at",
            DateTime(timezone=True),
            nullable=True,
            comment="since when it is only kept for going back to it",
        ),
    )
