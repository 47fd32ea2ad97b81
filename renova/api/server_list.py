"""`GET /servers` and `GET /servers/detail`: pages of servers, filtered and sorted."""

from typing import Any

from oslo_utils import strutils
from sqlalchemy.ext.asyncio import AsyncSession

from renova.api.microversions import Version
from renova.api.policies import SERVERS
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.server_list import IGNORED_SORT_KEYS, ListServers
from renova.api.servers import sight_of
from renova.api.views import servers as views
from renova.api.views.servers import Sight
from renova.compute import servers
from renova.compute.servers import EXACT, PATTERNS, ServerFilters
from renova.compute.states import states_of
from renova.db.tables import Server
from renova.errors import Forbidden, Invalid

routes = Routes()

# What anybody may filter by; the rest of the schema is for those whom allow_all_filters lets use it.
_OPEN_TO_ALL = frozenset(("name", "image", "flavor", "reservation_id"))
# Statuses that Nova knows and no server here can have: a list of those is empty, not an error.
_OF_NOVA_ALONE = frozenset(
    (
        *("MIGRATING", "PASSWORD", "PAUSED", "RESCUE", "SHELVED"),
        *("SHELVED_OFFLOADED", "SOFT_DELETED", "SUSPENDED"),
    )
)
_STRICT_STATUS = Version(2, 38)
# Older names of the same filters.
_ALIASES = {"tenant_id": "project_id", "image_ref": "image", "display_name": "name"}
_INNER_TABLES = frozenset(
    (
        *("block_device_mapping", "services", "metadata", "system_metadata", "info_cache"),
        *("security_groups", "pci_devices"),
    )
)


@routes.on("GET", "/servers")
async def index(call: Call) -> Answer:
    async with call.transaction() as session:
        rows, links = await _page_of_servers(call, session, "servers", "index")
    return Answer({"servers": [views.entry(row, Sight(call.links)) for row in rows], **links})


@routes.on("GET", "/servers/detail")
async def detail(call: Call) -> Answer:
    async with call.transaction() as session:
        rows, links = await _page_of_servers(call, session, "servers/detail", "detail")
        sight = await sight_of(call, session, {row.host for row in rows})
    return Answer({"servers": [views.detail(row, sight) for row in rows], **links})


async def _page_of_servers(
    call: Call, session: AsyncSession, collection: str, rule: str
) -> tuple[list[Server], dict[str, Any]]:
    query = call.query(ListServers)
    call.can(SERVERS + rule)
    filters = _filters(call, query, rule)
    if filters is None:
        return [], {}
    page = call.page(query, *_order(call, query))
    rows = await servers.list_servers(session, call.caller, filters, page)
    return rows, call.next_links(collection, page, [row.id for row in rows])


def _filters(call: Call, query: ListServers, rule: str) -> ServerFilters | None:
    """None stands for a list that is empty whatever servers there are."""
    privileged = call.may(SERVERS + "allow_all_filters")
    if privileged:
        _refuse_inner_names(call)
    statuses = tuple(status for status in query.status if states_of(status))
    if query.status and not statuses:
        if call.version >= _STRICT_STATUS and not any(s.upper() in _OF_NOVA_ALONE for s in query.status):
            raise Invalid("Invalid status value")
        return None
    deleted: bool | None = None if query.changes_since else False
    if privileged and query.deleted is not None:
        deleted = strutils.bool_from_string(query.deleted)
    if {status.upper() for status in statuses} == {"DELETED"}:
        if not call.caller.is_admin:
            raise Forbidden("Only administrators may list deleted instances")
        deleted = True
    all_projects = _all_projects(query)
    if all_projects:
        call.can(f"{SERVERS}{rule}:get_all_tenants")
    values = {
        name: value
        for name, value in query.model_dump(exclude_none=True).items()
        if privileged or name in _OPEN_TO_ALL
    }
    for alias, name in _ALIASES.items():
        if alias in values:
            values.setdefault(name, values.pop(alias))
    if not all_projects:
        values.pop("project_id", None)
    return ServerFilters(
        all_projects=all_projects,
        deleted=deleted,
        statuses=statuses,
        exact={name: value for name, value in values.items() if name in EXACT},
        patterns={name: value for name, value in values.items() if name in PATTERNS},
        ip=query.ip,
        ip6=query.ip6,
        changes_since=query.changes_since,
        tags_all=_split(query.tags),
        tags_any=_split(query.tags_any),
        not_tags_all=_split(query.not_tags),
        not_tags_any=_split(query.not_tags_any),
    )


def _refuse_inner_names(call: Call) -> None:
    """Nova refuses the names of its inner tables, but only to those whose other unknown names it keeps."""
    for name, _ in call.query_items:
        if name in _INNER_TABLES or name.startswith("_"):
            raise Invalid(f"Invalid filter field: {name}.")


def _all_projects(query: ListServers) -> bool:
    """An empty `all_tenants` asks for all of them."""
    try:
        return query.all_tenants is not None and (
            not query.all_tenants or strutils.bool_from_string(query.all_tenants, strict=True)
        )
    except ValueError as error:
        raise Invalid(f"Invalid input received: {error}") from error


def _split(tags: str | None) -> tuple[str, ...]:
    return tuple(tags.split(",")) if tags else ()


def _order(call: Call, query: ListServers) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sort keys and one direction for each: newest first where nothing is asked for."""
    keys = [key.strip() for key in query.sort_key] or ["created_at"]
    directions = [direction.strip() for direction in query.sort_dir] or ["desc"]
    if not {*directions} <= {"asc", "desc"}:
        raise Invalid("Invalid input received: Unknown sort direction, must be 'desc' or 'asc'")
    if len(directions) > len(keys):
        raise Invalid("Invalid input received: Sort direction size exceeds sort key size")
    directions += directions[:1] * (len(keys) - len(directions))
    kept = [pair for pair in zip(keys, directions, strict=True) if pair[0] not in IGNORED_SORT_KEYS]
    for key, _ in kept:
        if key in {"host", "node"} and not call.caller.is_admin:
            raise Forbidden(f"Only administrators can sort servers by {key}")
    return tuple(key for key, _ in kept), tuple(direction for _, direction in kept)
