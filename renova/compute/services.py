"""The programs that report to the database, as admins see them."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from renova.compute.hosts import AGENT, ALIVE
from renova.db.tables import Service

ZONE = "nova"  # The one availability zone: Nova's name for where a host is that nobody put anywhere.
# What the tools of admins look for where servers run. An agent is just that.
_NAMES = {AGENT: "nova-compute"}


@dataclass(frozen=True)
class Reporting:
    """A service under Nova's name for it. `number` and `uuid` are made from host and name, so they stay."""

    host: str
    name: str
    is_up: bool
    seen_at: datetime
    uuid: str

    @property
    def number(self) -> int:
        """The id of times before 2.53."""
        return uuid.UUID(self.uuid).int & 0x7FFFFFFF


async def list_services(
    session: AsyncSession, *, host: str | None = None, name: str | None = None
) -> list[Reporting]:
    """In the order of their hosts; a service that has not reported for a minute is down."""
    rows = await session.scalars(select(Service).order_by(Service.host, Service.binary))
    every = [_reporting(row) for row in rows]
    return [service for service in every if host in {None, service.host} and name in {None, service.name}]


def _reporting(row: Service) -> Reporting:
    name = _NAMES.get(row.binary, row.binary)
    return Reporting(
        host=row.host,
        name=name,
        is_up=row.seen_at > datetime.now(UTC) - ALIVE,
        seen_at=row.seen_at,
        uuid=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{name} of {row.host}")),
    )
