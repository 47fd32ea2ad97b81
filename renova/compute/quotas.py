"""Quotas: what a project or user may have, and what they have, counted from the rows themselves.

There is no second book of usage that could go wrong. Who is about to add something takes a lock for its owner
first, so that two requests at once can't both take the last place; the lock ends with the transaction.
"""

from dataclasses import dataclass
from typing import Self

from oslo_config import cfg
from sqlalchemy import BigInteger, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from renova.compute.caller import Caller
from renova.db.tables import Server
from renova.errors import QuotaExceeded

UNLIMITED = -1


@dataclass(frozen=True)
class Limits:
    """`[quota]`: metadata items per server, key pairs per user, the rest per project. ram is in MiB."""

    instances: int
    cores: int
    ram: int
    metadata_items: int
    key_pairs: int

    @classmethod
    def of(cls, conf: cfg.ConfigOpts) -> Self:
        quota = conf.quota
        return cls(quota.instances, quota.cores, quota.ram, quota.metadata_items, quota.key_pairs)


@dataclass(frozen=True)
class Usage:
    """What the servers of a project take together, deleted ones not counted. ram is in MiB."""

    instances: int
    cores: int
    ram: int


async def usage_of(session: AsyncSession, project_id: str) -> Usage:
    """One query, however many servers there are."""
    vcpus, ram = (func.sum(cast(Server.flavor[size].astext, BigInteger)) for size in ("vcpus", "ram"))
    statement = select(func.count(), func.coalesce(vcpus, 0), func.coalesce(ram, 0)).where(
        Server.project_id == project_id, Server.deleted_at.is_(None)
    )
    instances, cores, memory = (await session.execute(statement)).one()
    return Usage(instances, int(cores), int(memory))


async def check_and_reserve(
    session: AsyncSession,
    limits: Limits,
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


async def lock_owner(session: AsyncSession, owner_id: str) -> None:
    """Wait until nobody else adds to what a project or user has; keep others waiting as long as we do."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"quota:{owner_id}", 0))))
