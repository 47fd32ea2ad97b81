"""Which host runs a new server."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import and_, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from renova.db.tables import Server, Service
from renova.errors import Invalid, Unavailable

AGENT = "renova-agent"
# An agent reports every 10 seconds; a minute leaves room for its restart.
ALIVE = timedelta(seconds=60)


class HostNotFound(Invalid):
    """A server is to run on a host that there is none of."""

    def __init__(self, host: str) -> None:
        super().__init__(f"Compute host {host} could not be found.")


async def choose_host(session: AsyncSession, only: str | None = None) -> str:
    """The host with the fewest servers among those whose agent reports, or `only` that one, if it reports.

    Raises HostNotFound where there is no such host, Unavailable where no agent reports.
    """
    if only is not None and await session.get(Service, (only, AGENT)) is None:
        raise HostNotFound(only)
    host: str | None = await session.scalar(
        select(Service.host)
        .outerjoin(Server, and_(Server.host == Service.host, Server.deleted_at.is_(None)))
        .where(Service.binary == AGENT, Service.seen_at > datetime.now(UTC) - ALIVE)
        .where(true() if only is None else Service.host == only)
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
