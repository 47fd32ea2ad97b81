"""Quotas: what a project or user may have, and what they have, counted from the rows themselves.

There is no second book of usage that could go wrong. Who is about to add something takes a lock for its owner
first, so that two requests at once can't both take the last place; the lock ends with the transaction.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Self

from oslo_config import cfg
from sqlalchemy import BigInteger, cast, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from renova.compute.caller import Caller
from renova.db.tables import Quota, Server, ServerGroup
from renova.errors import Invalid, QuotaExceeded

UNLIMITED = -1


@dataclass(frozen=True)
class Limits:
    """Metadata items are per server, key pairs per user, injected files per request, the rest per project.

    ram is in MiB. What has a default here is Nova's and no option of ours. Addresses and security groups are
    a network service's: what an admin says of them is kept and shown, as in Nova.
    """

    instances: int
    cores: int
    ram: int
    metadata_items: int
    key_pairs: int
    server_groups: int = 10
    server_group_members: int = 10
    injected_files: int = 5
    injected_file_content_bytes: int = 10240
    injected_file_path_bytes: int = 255
    fixed_ips: int = UNLIMITED
    floating_ips: int = UNLIMITED
    security_groups: int = UNLIMITED
    security_group_rules: int = UNLIMITED

    @classmethod
    def of(cls, conf: cfg.ConfigOpts) -> Self:
        """What a project has that no admin gave anything else: `[quota]`."""
        quota = conf.quota
        return cls(quota.instances, quota.cores, quota.ram, quota.metadata_items, quota.key_pairs)


@dataclass(frozen=True)
class Usage:
    """What a project has, deleted servers not counted. ram is in MiB."""

    instances: int
    cores: int
    ram: int
    server_groups: int = 0


async def limits_of(session: AsyncSession, defaults: Limits, project_id: str) -> Limits:
    """`defaults`, and over them what an admin gave this project."""
    rows = await session.execute(select(Quota.resource, Quota.limit).where(Quota.project_id == project_id))
    return replace(defaults, **dict(rows.all()))


async def set_limits(
    session: AsyncSession, project_id: str, limits: Mapping[str, int], *, force: bool
) -> None:
    """Give a project limits of its own, by the names of the fields of Limits.

    Raises Invalid for less than is in use already, unless `force`.
    """
    await lock_owner(session, project_id)
    used = asdict(await usage_of(session, project_id))
    for resource, limit in limits.items():
        if not force and UNLIMITED != limit < used.get(resource, 0):
            raise Invalid(
                f"Quota limit {limit} for {resource} must be greater than or equal to already used and "
                f"reserved {used[resource]}."
            )
    for resource, limit in limits.items():
        quota = insert(Quota).values(project_id=project_id, resource=resource, limit=limit)
        await session.execute(
            quota.on_conflict_do_update(index_elements=["project_id", "resource"], set_={"limit": limit})
        )


async def forget_limits(session: AsyncSession, project_id: str) -> None:
    """The defaults hold for the project again."""
    await session.execute(delete(Quota).where(Quota.project_id == project_id))


async def usage_of(session: AsyncSession, project_id: str, user_id: str | None = None) -> Usage:
    """One query, however many servers there are; of one user's where `user_id` is given."""
    vcpus, ram = (func.sum(cast(Server.flavor[size].astext, BigInteger)) for size in ("vcpus", "ram"))
    groups = select(func.count(ServerGroup.id)).where(ServerGroup.project_id == project_id)
    if user_id is not None:
        groups = groups.where(ServerGroup.user_id == user_id)
    statement = select(
        func.count(), func.coalesce(vcpus, 0), func.coalesce(ram, 0), groups.scalar_subquery()
    ).where(Server.project_id == project_id, Server.deleted_at.is_(None))
    if user_id is not None:
        statement = statement.where(Server.user_id == user_id)
    instances, cores, memory, server_groups = (await session.execute(statement)).one()
    return Usage(instances, int(cores), int(memory), server_groups or 0)


async def check_and_reserve(
    session: AsyncSession,
    defaults: Limits,
    caller: Caller,
    *,
    minimum: int,
    maximum: int,
    cores: int,
    ram: int,
) -> int:
    """How many servers of `cores` and `ram` (MiB) the caller's project may add: `minimum` up to `maximum`.

    The place is kept until the transaction ends. Raises QuotaExceeded where not even `minimum` fit, naming
    every quota that `maximum` would exceed, as Nova does.
    """
    await lock_owner(session, caller.project_id)
    limits = await limits_of(session, defaults, caller.project_id)
    used = await usage_of(session, caller.project_id)
    count = maximum
    overs = []
    instances = str(maximum) if minimum == maximum else f"{minimum}-{maximum}"
    for resource, each, requested, taken, allowed in (
        ("cores", cores, str(maximum * cores), used.cores, limits.cores),
        ("instances", 1, instances, used.instances, limits.instances),
        ("ram", ram, str(maximum * ram), used.ram, limits.ram),
    ):
        if allowed == UNLIMITED or each == 0:
            continue
        fitting = max(allowed - taken, 0) // each
        if fitting < maximum:
            overs.append((resource, requested, str(taken), str(allowed)))
        count = min(count, fitting)
    if count < minimum:
        raise QuotaExceeded(*(", ".join(column) for column in zip(*overs, strict=True)))
    return count


async def check_growth(
    session: AsyncSession, defaults: Limits, project_id: str, *, cores: int, ram: int
) -> None:
    """Whether a server of the project may have so many more cores and MiB; less than zero is always allowed.

    The place is kept until the transaction ends. Raises QuotaExceeded, naming every quota that is exceeded.
    """
    await lock_owner(session, project_id)
    limits = await limits_of(session, defaults, project_id)
    used = await usage_of(session, project_id)
    overs = [
        (resource, str(more), str(taken), str(allowed))
        for resource, more, taken, allowed in (
            ("cores", cores, used.cores, limits.cores),
            ("ram", ram, used.ram, limits.ram),
        )
        if more > 0 and allowed != UNLIMITED and taken + more > allowed
    ]
    if overs:
        raise QuotaExceeded(*(", ".join(column) for column in zip(*overs, strict=True)))


async def lock_owner(session: AsyncSession, owner_id: str) -> None:
    """Wait until nobody else adds to what a project or user has; keep others waiting as long as we do."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"quota:{owner_id}", 0))))
