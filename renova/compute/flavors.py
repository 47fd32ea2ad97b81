"""Flavors: the sizes of servers. A server remembers its own, so a flavor may go while servers have it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import psycopg
from sqlalchemy import ColumnElement, Select, delete, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from renova.compute.caller import Caller
from renova.compute.pages import Page, fetch_page
from renova.db.tables import Flavor, FlavorProject
from renova.errors import Conflict, FlavorExists, FlavorNotFound, NotFound

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


class FlavorAccessExists(Conflict):
    def __init__(self, flavor_id: str, project_id: str) -> None:
        super().__init__(
            f"Flavor access already exists for flavor {flavor_id} and project {project_id} combination."
        )


class FlavorAccessNotFound(NotFound):
    def __init__(self, flavor_id: str, project_id: str) -> None:
        super().__init__(f"Flavor access not found for {flavor_id} / {project_id} combination.")


def _given_to(project_id: str) -> ColumnElement[bool]:
    """Whether a flavor is the project's to use: public, or given to it."""
    given = FlavorProject.flavor_id == Flavor.id, FlavorProject.project_id == project_id
    return or_(Flavor.is_public, exists().where(*given))


def _visible(caller: Caller) -> Select[Flavor]:
    statement = select(Flavor)
    return statement if caller.is_admin else statement.where(_given_to(caller.project_id))


async def find_flavor(session: AsyncSession, flavor_id: str, caller: Caller) -> Flavor:
    """Raises FlavorNotFound, also for one that is not the caller's project's to use, admins excepted."""
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
        own = _given_to(caller.project_id)
        statement = statement.where(own if filters.is_public else Flavor.is_public.is_(False))
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


async def add_extra_specs(session: AsyncSession, flavor_id: str, specs: dict[str, str]) -> None:
    """Set some of a flavor's extra specs and leave the others. Raises FlavorNotFound."""
    flavor = await _kept(session, flavor_id)
    flavor.extra_specs, flavor.updated_at = flavor.extra_specs | specs, datetime.now(UTC)


async def remove_extra_spec(session: AsyncSession, flavor_id: str, key: str) -> bool:
    """False where the flavor has none of this name. Raises FlavorNotFound."""
    flavor = await _kept(session, flavor_id)
    if key not in flavor.extra_specs:
        return False
    flavor.extra_specs = {name: value for name, value in flavor.extra_specs.items() if name != key}
    flavor.updated_at = datetime.now(UTC)
    return True


async def _kept(session: AsyncSession, flavor_id: str) -> Flavor:
    """The row, which nobody else changes until the transaction ends."""
    flavor = await session.scalar(select(Flavor).where(Flavor.id == flavor_id).with_for_update())
    if flavor is None:
        raise FlavorNotFound(flavor_id)
    return flavor


async def projects_of(session: AsyncSession, flavor_id: str) -> list[str]:
    """Ids of the projects that a flavor was given to, in their order."""
    given = select(FlavorProject.project_id).where(FlavorProject.flavor_id == flavor_id)
    return list(await session.scalars(given.order_by(FlavorProject.project_id)))


async def add_access(session: AsyncSession, flavor_id: str, project_id: str) -> None:
    """Raises FlavorAccessExists."""
    access = insert(FlavorProject).values(flavor_id=flavor_id, project_id=project_id)
    added = await session.scalar(access.on_conflict_do_nothing().returning(FlavorProject.project_id))
    if added is None:
        raise FlavorAccessExists(flavor_id, project_id)


async def remove_access(session: AsyncSession, flavor_id: str, project_id: str) -> None:
    """Raises FlavorAccessNotFound."""
    given = FlavorProject.flavor_id == flavor_id, FlavorProject.project_id == project_id
    removed = await session.scalar(delete(FlavorProject).where(*given).returning(FlavorProject.project_id))
    if removed is None:
        raise FlavorAccessNotFound(flavor_id, project_id)
