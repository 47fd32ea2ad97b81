"""Which host runs a new server."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, and_, bindparam, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from renova.db.statements import Columns, Statement
from renova.db.tables import Server, ServerGroup, Service
from renova.errors import Conflict, Invalid, Unavailable

AGENT = "renova-agent"
# An agent reports every 10 seconds; a minute leaves room for its restart.
ALIVE = timedelta(seconds=60)


class PolicyUnsatisfied(Conflict):
    """No host would suit a server group."""

    def __init__(self, policy: str) -> None:
        super().__init__(f"No valid host was found: the server group's policy is {policy}.")


class HostNotFound(Invalid):
    """A server is to run on a host that there is none of."""

    def __init__(self, host: str) -> None:
        super().__init__(f"Compute host {host} could not be found.")


async def choose_host(
    session: AsyncSession, only: str | None = None, group: ServerGroup | None = None
) -> str:
    """The host with the fewest servers among those whose agent reports, or `only` that one, if it reports.

    The policy of a `group` comes first. Raises HostNotFound where there is no such host, Unavailable where no
    agent reports, and PolicyUnsatisfied where the group's policy allows none of those that do.
    """
    if only is not None and await session.get(Service, (only, AGENT)) is None:
        raise HostNotFound(only)
    host: str | None = await session.scalar(
        select(Service.host)
        .outerjoin(Server, and_(Server.host == Service.host, Server.deleted_at.is_(None)))
        .where(Service.binary == AGENT, Service.seen_at > datetime.now(UTC) - ALIVE)
        .where(true() if only is None else Service.host == only)
        .group_by(Service.host)
        .having(true() if group is None else _allows(group))
        .order_by(*([] if group is None else _preference(group)), func.count(Server.id), Service.host)
        .limit(1)
    )
    if host is None and group is not None and await choose_host(session, only):
        raise PolicyUnsatisfied(group.policy)
    if host is None:
        raise Unavailable("No valid host was found: no agent has reported in the last minute.")
    return host


def _members_here(group: ServerGroup) -> ColumnElement[int]:
    """How many of a group's servers a host has."""
    return func.count(Server.id).filter(Server.server_group_id == group.id)


def _allows(group: ServerGroup) -> ColumnElement[bool]:
    if group.policy == "anti-affinity":
        return _members_here(group) < (group.max_server_per_host or 1)
    if group.policy == "affinity":
        members = select(Server.id).where(Server.server_group_id == group.id, Server.deleted_at.is_(None))
        return or_(_members_here(group) > 0, ~members.exists())
    return true()


def _preference(group: ServerGroup) -> list[ColumnElement[int]]:
    """What the soft policies ask for, if it can be had."""
    here = _members_here(group)
    return [here.desc() if group.policy.endswith("soft-affinity") else here]


_services = Columns(Service)
_AGENT_OF = Statement(
    select(*_services.all).where(Service.host == bindparam("host"), Service.binary == AGENT)
)


async def agent_of(session: AsyncSession, host: str) -> Service:
    """The agent of a host, whose `address` answers what can't wait for a job. Raises Unavailable."""
    row = await _AGENT_OF.row(session, {"host": host})
    if row is None:
        raise Unavailable(f"No agent has ever reported from host {host}.")
    return _services.make(row)
