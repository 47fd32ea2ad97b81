"""Servers as they are found, listed and changed in ways that no host has to hear of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, SQLColumnExpression, Text, bindparam, case, cast, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, joinedload, selectinload
from sqlalchemy.orm.attributes import set_committed_value

from renova.compute.caller import Caller
from renova.compute.hosts import AGENT, ALIVE
from renova.compute.pages import Page, fetch_page
from renova.compute.states import states_of
from renova.db.session import Single
from renova.db.statements import Columns, Row, Statement
from renova.db.tables import Network, Port, Server, Service
from renova.errors import Conflict, ServerNotFound

# Nova's names of what a list can be filtered by, the values of which have to be met exactly …
EXACT: dict[str, SQLColumnExpression[Any]] = {
    "project_id": Server.project_id,
    "user_id": Server.user_id,
    "image": Server.image_id,
    "flavor": Server.flavor["id"].astext,
    "host": Server.host,
    "uuid": Server.id,
    "vm_state": Server.vm_state,
    "task_state": Server.task_state,
}
# … and those that are regular expressions, found anywhere in the value.
PATTERNS: dict[str, SQLColumnExpression[Any]] = {
    "name": Server.name,
    "display_description": Server.description,
    "hostname": Server.hostname,
    "key_name": Server.key_name,
    "node": Server.host,
    # The same for every server here.
    "kernel_id": literal(""),
    "ramdisk_id": literal(""),
    "root_device_name": literal("/dev/vda"),
    "config_drive": case((Server.config_drive, "True"), else_=""),
    "auto_disk_config": case((Server.disk_config == "AUTO", "1"), else_="0"),
    "reservation_id": Server.reservation_id,
    "availability_zone": Server.availability_zone,
    "locked_by": Server.locked_by,
    "access_ip_v4": Server.access_ip_v4,
    "access_ip_v6": Server.access_ip_v6,
    "launch_index": cast(Server.launch_index, Text),
    "power_state": cast(Server.power_state, Text),
    "progress": cast(Server.progress, Text),
    "created_at": cast(Server.created_at, Text),
    "launched_at": cast(Server.launched_at, Text),
    "terminated_at": cast(Server.terminated_at, Text),
}
# Nova's names of what a list can be sorted by.
SORT_COLUMNS: dict[str, InstrumentedAttribute[Any]] = {
    "access_ip_v4": Server.access_ip_v4,
    "access_ip_v6": Server.access_ip_v6,
    "auto_disk_config": Server.disk_config,
    "availability_zone": Server.availability_zone,
    "config_drive": Server.config_drive,
    "created_at": Server.created_at,
    "display_description": Server.description,
    "display_name": Server.name,
    "host": Server.host,
    "hostname": Server.hostname,
    "image_ref": Server.image_id,
    "key_name": Server.key_name,
    "launch_index": Server.launch_index,
    "launched_at": Server.launched_at,
    "locked": Server.locked,
    "locked_by": Server.locked_by,
    "node": Server.host,
    "power_state": Server.power_state,
    "progress": Server.progress,
    "project_id": Server.project_id,
    "task_state": Server.task_state,
    "terminated_at": Server.terminated_at,
    "updated_at": Server.updated_at,
    "user_id": Server.user_id,
    "uuid": Server.id,
    "vm_state": Server.vm_state,
}


@dataclass(frozen=True)
class ServerFilters:
    """Which servers a list is of. What is empty or None leaves nothing out.

    `exact` and `patterns` are keyed as EXACT and PATTERNS above; an ip filter is a regular expression too.
    `deleted` None is both kinds, as a list of changes needs it.
    """

    all_projects: bool = False
    deleted: bool | None = False
    statuses: tuple[str, ...] = ()
    exact: Mapping[str, str] = field(default_factory=dict)
    patterns: Mapping[str, str] = field(default_factory=dict)
    ip: str | None = None
    ip6: str | None = None
    changes_since: datetime | None = None
    changes_before: datetime | None = None
    locked: bool | None = None
    tags_all: tuple[str, ...] = ()
    tags_any: tuple[str, ...] = ()
    not_tags_all: tuple[str, ...] = ()
    not_tags_any: tuple[str, ...] = ()


_servers, _ports, _networks = Columns(Server), Columns(Port), Columns(Network)
_FOUND = Statement(
    select(*_servers.all, *_ports.all, *_networks.all)
    .outerjoin_from(Server, Port, Port.server_id == Server.id)
    .outerjoin(Network, Network.id == Port.network_id)
    .where(
        Server.id == bindparam("id"),
        or_(bindparam("deleted"), Server.deleted_at.is_(None)),
        or_(bindparam("any_project"), Server.project_id == bindparam("project_id")),
    )
    .order_by(Port.position)
)
_TO_PORT, _TO_NETWORK = len(_servers.all), len(_servers.all) + len(_ports.all)


async def find_server(
    session: AsyncSession, server_id: str, caller: Caller, *, deleted: bool = False
) -> Server:
    """A server with its ports and their networks, as the database has it now, in one query.

    Raises ServerNotFound for what is not there, is another project's (unless the caller is an admin), or was
    deleted (unless `deleted` asks for such ones too).
    """
    try:
        canonical = str(UUID(server_id))
    except ValueError:
        raise ServerNotFound(server_id) from None
    values = {
        "id": canonical,
        "deleted": deleted,
        "any_project": caller.is_admin,
        "project_id": caller.project_id,
    }
    rows = await _FOUND.rows(session, values)
    if not rows:
        raise ServerNotFound(server_id)
    server = _made(rows)
    # What only reads has no use for a session that watches the object.
    return server if isinstance(session, Single) else await session.merge(server, load=False)


def _made(rows: Sequence[Row]) -> Server:
    """A server of its row, which each of its ports repeats. Without any port theirs is null."""
    server = _servers.make(rows[0][:_TO_PORT])
    ports = [] if rows[0][_TO_PORT] is None else [_ports.make(row[_TO_PORT:_TO_NETWORK]) for row in rows]
    networks: dict[str, Network] = {}
    for port, row in zip(ports, rows, strict=False):
        if port.network_id not in networks:
            networks[port.network_id] = _networks.make(row[_TO_NETWORK:])
        set_committed_value(port, "network", networks[port.network_id])
    set_committed_value(server, "ports", ports)
    return server


async def list_servers(
    session: AsyncSession, caller: Caller, filters: ServerFilters, page: Page
) -> list[Server]:
    """One page, in two queries, and one for the marker: a server of these projects, be it deleted or of
    another status by now. Raises MarkerNotFound, and Invalid for a bad regular expression.
    """
    known = select(Server).where(*_projects(caller, filters))
    ports = selectinload(Server.ports).options(joinedload(Port.network))
    statement = known.where(*_conditions(filters)).options(ports)
    return await fetch_page(
        session,
        statement,
        page,
        columns=SORT_COLUMNS,
        unique=Server.id,
        marker_column=Server.id,
        marker_among=known,
    )


async def update_server(session: AsyncSession, server: Server, changes: Mapping[str, Any]) -> None:
    """Set columns that a client may set (name, hostname, description, access addresses, disk_config, and the
    zone that the server is pinned to). Raises Conflict for a pin to where the server is not.
    """
    if "pinned_availability_zone" in changes:
        _check_pin(server, changes["pinned_availability_zone"])
    for column, value in changes.items():
        setattr(server, column, value)
    server.updated_at = datetime.now(UTC)
    await session.flush()


def _check_pin(server: Server, zone: str | None) -> None:
    """A server may be unpinned, and pinned again where it is. Nova's sentences."""
    pinned = server.pinned_availability_zone
    if zone in {None, pinned}:
        return
    if pinned is not None:
        raise Conflict(
            "Cannot change pinned availability zone directly. Unpin first by setting "
            "pinned_availability_zone to null."
        )
    if zone != server.availability_zone:
        raise Conflict(
            f"Server can only be pinned to its current availability zone '{server.availability_zone}', but "
            f"'{zone}' was requested."
        )


async def host_statuses(session: AsyncSession, hosts: set[str]) -> dict[str, str]:
    """Nova's host_status of hosts: UP while the agent reports, UNKNOWN when it does not."""
    reporting = select(Service.host).where(
        Service.host.in_(hosts), Service.binary == AGENT, Service.seen_at > datetime.now(UTC) - ALIVE
    )
    alive = set(await session.scalars(reporting))
    return {host: "UP" if host in alive else "UNKNOWN" for host in hosts}


def _projects(caller: Caller, filters: ServerFilters) -> list[ColumnElement[bool]]:
    return [] if filters.all_projects else [Server.project_id == caller.project_id]


def _conditions(filters: ServerFilters) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if filters.deleted is not None:
        found.append(Server.deleted_at.is_not(None) if filters.deleted else Server.deleted_at.is_(None))
    if filters.statuses:
        found.append(or_(*(_of_status(status) for status in filters.statuses)))
    found += [EXACT[name] == value for name, value in filters.exact.items()]
    found += [PATTERNS[name].regexp_match(value) for name, value in filters.patterns.items()]
    if filters.ip:
        found.append(_of_address(filters.ip, six=False))
    if filters.ip6:
        found.append(_of_address(filters.ip6, six=True))
    if filters.changes_since:
        found.append(Server.updated_at >= filters.changes_since)
    if filters.changes_before:
        found.append(Server.updated_at <= filters.changes_before)
    if filters.locked is not None:
        found.append(Server.locked.is_(filters.locked))
    if filters.tags_all:
        found.append(_has_tags(filters.tags_all))
    if filters.tags_any:
        found.append(or_(*(_has_tags((tag,)) for tag in filters.tags_any)))
    if filters.not_tags_all:
        found.append(~_has_tags(filters.not_tags_all))
    if filters.not_tags_any:
        found.append(~or_(*(_has_tags((tag,)) for tag in filters.not_tags_any)))
    return found


def _of_status(status: str) -> ColumnElement[bool]:
    choices: list[ColumnElement[bool]] = []
    for vm_state, wanted, left_out in states_of(status):
        choice = Server.vm_state == vm_state
        if wanted is not None:
            choice &= Server.task_state.in_(wanted)
        if left_out:
            choice &= or_(Server.task_state.is_(None), Server.task_state.not_in(left_out))
        choices.append(choice)
    return or_(*choices) if choices else Server.vm_state.is_(None)


def _of_address(pattern: str, *, six: bool) -> ColumnElement[bool]:
    family = Port.address.contains(":") if six else ~Port.address.contains(":")
    return Server.ports.any(Port.address.regexp_match(pattern) & family)


def _has_tags(tags: tuple[str, ...]) -> ColumnElement[bool]:
    return Server.tags.contains(list(tags))
