"""Who chose a network's range, and the loopback port that leads to a guest on a user network."""

from alembic import op
from sqlalchemy import Column, Integer, Text

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    chosen_by = Column("chosen_by", Text(), comment="the host whose routes left this range free")
    op.add_column("networks", chosen_by)
    forwarded = "of the host's loopback, forwarded to the guest's port 22; null on a bridge"
    op.add_column("ports", Column("ssh_port", Integer(), comment=forwarded))
