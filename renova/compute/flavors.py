"""Flavors: the sizes of servers. A server remembers its own, so a flavor may go while servers have it."""

from dataclasses import dataclass
from typing import Any, cast

import psycopg
from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from renova.compute.caller import Caller
from renova.compute.pages import Page, fetch_page
from renova.db.tables import Flavor
from renova.errors import FlavorExists, FlavorNotFound

# Nova's names of what a list can be sorted by. Nova's vcpu_weight has no meaning any more and sorts by id.
SORT_COLUMNS: dict[str, InstrumentedAttribute[Any]] = {
    "created_at": Flavor.created_at,
    "description": Flavor.description,
    "disabled": Flavor.disabled,
    "ephemeral_gb": Flavor.ephemeral,
    "flavorid": Flavor.id,
    "id": Flavor.id,
    "is_public": Flavor.is_public,
    "memory_mb": Flavor.ram,
    "name": Flavor.name,
    "root_gb": Flavor.disk,
    "rxtx_factor": Flavor.rxtx_factor,
    "swap": Flavor.swap,
    "updated_at": Flavor.updated_at,
    "vcpu_weight": Flavor.id,
    "vcpus": Flavor.vcpus,
}


@dataclass(frozen=True)
class FlavorFilters:
    """Which flavors a list is of. None leaves nothing out; `is_public` is only an admin's to choose."""

    is_public: bool | None = True
    min_ram: int | None = None
    min_disk: int | None = None
    name: str | None = None  # A regular expression, found anywhere in the name.


def _visible(caller: Caller) -> Select[Flavor]:
    statement = select(Flavor)
    return statement if caller.is_admin else statement.where(Flavor.is_public)


async def find_flavor(session: AsyncSession, flavor_id: str, caller: Caller) -> Flavor:
    """Raises FlavorNotFound, also for one that is not public where the caller is no admin."""
    flavor = await session.scalar(_visible(caller).where(Flavor.id == flavor_id))
    if flavor is None:
        raise FlavorNotFound(flavor_id)
    return flavor


async def list_flavors(
    session: AsyncSession, caller: Caller, filters: FlavorFilters, page: Page
) -> list[Flavor]:
    """Raises MarkerNotFound, and Invalid for a bad regular expression."""
    statement = _visible(caller)
    if not caller.is_admin:
        statement = statement.where(Flavor.disabled.is_(False))
    elif filters.is_public is not None:
        statement = statement.where(Flavor.is_public == filters.is_public)
    if filters.min_ram is not None:
        statement = statement.where(Flavor.ram >= filters.min_ram)
    if filters.min_disk is not None:
        statement = statement.where(Flavor.disk >= filters.min_disk)
    if filters.name is not None:
        statement = statement.where(Flavor.name.regexp_match(filters.name))
    return await fetch_page(
        session,
        statement,
        page,
        columns=SORT_COLUMNS,
        unique=Flavor.id,
        marker_column=Flavor.id,
        marker_among=_visible(caller),
    )


async def create_flavor(session: AsyncSession, flavor: Flavor) -> Flavor:
    """Raises FlavorExists if the id or the name is taken: the database decides, so no race slips through."""
    session.add(flavor)
    try:
        await session.flush()
    except IntegrityError as error:
        if cast(psycopg.Error, error.orig).diag.constraint_name == "flavors_pkey":
            raise FlavorExists("ID", flavor.id) from error
        raise FlavorExists("name", flavor.name) from error
    await session.refresh(flavor)
    return flavor


async def describe_flavor(session: AsyncSession, flavor_id: str, description: str | None) -> Flavor:
    """Change a flavor's description, the one thing about it that may change. Raises FlavorNotFound."""
    changed: Flavor | None = await session.scalar(
        update(Flavor)
        .where(Flavor.id == flavor_id)
        .values(description=description, updated_at=func.now())
        .returning(Flavor)
    )
    if changed is None:
        raise FlavorNotFound(flavor_id)
    return changed


async def delete_flavor(session: AsyncSession, flavor_id: str) -> None:
    """Raises FlavorNotFound."""
    if await session.scalar(delete(Flavor).where(Flavor.id == flavor_id).returning(Flavor.id)) is None:
        raise FlavorNotFound(flavor_id)
