"""Server groups: servers that are to run on one host, or not to. A server joins when it is made."""

from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from renova.compute.caller import Caller
from renova.compute.quotas import UNLIMITED, Limits, limits_of, lock_owner
from renova.db.tables import Server, ServerGroup
from renova.errors import Forbidden, NotFound


class ServerGroupNotFound(NotFound):
    def __init__(self, group_id: str) -> None:
        super().__init__(f"Instance group {group_id} could not be found.")


class TooManyServerGroups(Forbidden):
    """Quota exceeded, too many server groups."""


class TooManyMembers(Forbidden):
    """Quota exceeded, too many servers in group"""


@dataclass(frozen=True)
class NewServerGroup:
    """`max_server_per_host` None is one, for the policy anti-affinity."""

    name: str
    policy: str
    max_server_per_host: int | None = None


async def create_group(
    session: AsyncSession, defaults: Limits, caller: Caller, new: NewServerGroup
) -> ServerGroup:
    """Raises TooManyServerGroups."""
    await lock_owner(session, caller.project_id)
    allowed = (await limits_of(session, defaults, caller.project_id)).server_groups
    own = ServerGroup.project_id == caller.project_id
    used = await session.scalar(select(func.count()).select_from(ServerGroup).where(own))
    if UNLIMITED != allowed <= (used or 0):
        raise TooManyServerGroups
    group = ServerGroup(
        id=str(uuid4()),
        project_id=caller.project_id,
        user_id=caller.user_id,
        name=new.name,
        policy=new.policy,
        max_server_per_host=new.max_server_per_host,
    )
    session.add(group)
    await session.flush()
    return group


async def find_group(session: AsyncSession, group_id: str, caller: Caller) -> ServerGroup:
    """Raises ServerGroupNotFound, also for another project's where the caller is no admin."""
    group = await session.get(ServerGroup, group_id)
    if group is None or not (caller.is_admin or group.project_id == caller.project_id):
        raise ServerGroupNotFound(group_id)
    return group


async def list_groups(
    session: AsyncSession, project_id: str | None, *, limit: int, offset: int
) -> list[ServerGroup]:
    """Oldest first; of every project where `project_id` is None."""
    statement = select(ServerGroup).order_by(ServerGroup.created_at, ServerGroup.id)
    if project_id is not None:
        statement = statement.where(ServerGroup.project_id == project_id)
    return list(await session.scalars(statement.limit(limit).offset(offset)))


async def members_of(session: AsyncSession, group_ids: list[str]) -> dict[str, list[str]]:
    """Ids of the servers that are in these groups, in the order in which they were made."""
    members: dict[str, list[str]] = {group_id: [] for group_id in group_ids}
    rows = await session.execute(
        select(ServerGroup.id, Server.id)
        .join(Server, Server.server_group_id == ServerGroup.id)
        .where(ServerGroup.id.in_(group_ids), Server.deleted_at.is_(None))
        .order_by(Server.created_at, Server.id)
    )
    for group_id, server_id in rows:
        members[group_id].append(server_id)
    return members


async def join(
    session: AsyncSession, defaults: Limits, caller: Caller, group: ServerGroup, count: int
) -> None:
    """Make room for so many servers: nobody else joins until the transaction ends.

    Raises TooManyMembers, and ServerGroupNotFound where the group is gone meanwhile.
    """
    kept = await session.scalar(select(ServerGroup.id).where(ServerGroup.id == group.id).with_for_update())
    if kept is None:
        raise ServerGroupNotFound(group.id)
    allowed = (await limits_of(session, defaults, caller.project_id)).server_group_members
    used = len((await members_of(session, [group.id]))[group.id])
    if UNLIMITED != allowed < used + count:
        raise TooManyMembers
