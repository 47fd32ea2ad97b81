"""Which host runs a new server."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from renova.db.tables import Server, Service
from renova.errors import Unavailable

AGENT = "renova-agent"
# An agent reports every 10 seconds; a minute leaves room for its restart.
ALIVE = timedelta(seconds=60)


async def choose_host(session: AsyncSession) -> str:
    """The host with the fewest servers among those whose agent reports. Raises Unavailable when none does."""
    host: str | None = await session.scalar(
        select(Service.host)
        .outerjoin(Server, and_(Server.host == Service.host, Server.deleted_at.is_(None)))
        .where(Service.binary == AGENT, Service.seen_at > datetime.now(UTC) - ALIVE)
        .group_by(Service.host)
        .order_by(func.count(Server.id), Service.host)
        .limit(1)
    )
    if host is None:
        raise Unavailable("No valid host was found: no agent has reported in the last minute.")
    return host


async def agent_of(session: AsyncSession, host: str) -> Service:
    """The agent of a host, whose `address` answers what can't wait for a job. Raises Unavailable."""
    service: Service | None = await session.get(Service, (host, AGENT))
    if service is None:
        raise Unavailable(f"No agent has ever reported from host {host}.")
    return service
