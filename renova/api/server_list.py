"""`GET /servers` and `GET /servers/detail`: pages of servers, filtered and sorted."""

from typing import Any

from oslo_utils import strutils
from sqlalchemy.ext.asyncio import AsyncSession

from renova.api.changes import check_order
from renova.api.forms import NEXT
from renova.api.microversions import Change, Version
from renova.api.policies import SERVERS
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.server_list import FORMER_SORT_KEYS, IDLE_SORT_KEYS, ListServers, is_inner
from renova.api.servers import sight_of
from renova.api.views import servers as views
from renova.api.views.servers import Sight
from renova.compute import servers
from renova.compute.servers import EXACT, PATTERNS, ServerFilters
from renova.compute.states import states_of
from renova.db.tables import Server
from renova.errors import Forbidden, Invalid

routes = Routes()

STRICT_STATUS = Change("2.38", "a list filtered by a status that does not exist is refused, not empty")
SORTED_BY_LOCK = Change("2.73", "`locked` sorts a list")
OWNERS_FILTERS = Change("2.83", "owners may filter a list by much that only admins could filter by")
OWNERS_HOSTNAME = Change("2.90", "owners may filter a list by `hostname`")
# What anybody may filter by; the rest of the schema is for those whom allow_all_filters lets use it.
_OPEN_TO_ALL = frozenset(("name", "image", "flavor", "reservation_id"))
_OPEN_LATER = (
    (
        OWNERS_FILTERS,
        frozenset(
            (
                *("availability_zone", "config_drive", "key_name", "created_at", "launched_at"),
                *("terminated_at", "power_state", "task_state", "vm_state", "progress", "user_id"),
            )
        ),
    ),
    (OWNERS_HOSTNAME, frozenset(("hostname",))),
)
# Statuses that Nova knows and no server here can have: a list of those is empty, not an error.
_OF_NOVA_ALONE = frozenset(
    (
        *("MIGRATING", "PASSWORD", "PAUSED", "RESCUE", "SHELVED"),
        *("SHELVED_OFFLOADED", "SOFT_DELETED", "SUSPENDED"),
    )
)
# Older names of the same filters.
_ALIASES = {
    "tenant_id": "project_id",
    "image_ref": "image",
    "display_name": "name",
    "description": "display_description",
}


@routes.on(
    "GET", "/servers", query=ListServers, answer={"servers": [views.ServerEntry], "servers_links": NEXT}
)
async def index(call: Call) -> Answer:
    async with call.reading() as session:
        rows, links = await _page_of_servers(call, session, "servers", "index")
    return Answer({"servers": [views.entry(row, Sight(call.links)) for row in rows], **links})


@routes.on(
    "GET",
    "/servers/detail",
    query=ListServers,
    answer={"servers": [views.ServerListed], "servers_links": NEXT},
)
async def detail(call: Call) -> Answer:
    async with call.reading() as session:
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
        if call.version in STRICT_STATUS and not any(s.upper() in _OF_NOVA_ALONE for s in query.status):
            raise Invalid("Invalid status value")
        return None
    check_order(query.changes_since, query.changes_before)
    deleted: bool | None = None if query.changes_since or query.changes_before else False
    if privileged and query.deleted is not None:
        deleted = strutils.bool_from_string(query.deleted)
    if {status.upper() for status in statuses} == {"DELETED"}:
        if not call.caller.is_admin:
            raise Forbidden("Only administrators may list deleted instances")
        deleted = True
    all_projects = _all_projects(query)
    if all_projects:
        call.can(f"{SERVERS}{rule}:get_all_tenants")
    open_to_all = _open_to_all(call.version)
    values = {
        name: value
        for name, value in query.model_dump(exclude_none=True).items()
        if privileged or name in open_to_all
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
        changes_before=query.changes_before,
        locked=_locked(query),
        tags_all=_split(query.tags),
        tags_any=_split(query.tags_any),
        not_tags_all=_split(query.not_tags),
        not_tags_any=_split(query.not_tags_any),
    )


def _open_to_all(version: Version) -> frozenset[str]:
    return _OPEN_TO_ALL.union(*(names for change, names in _OPEN_LATER if version in change))


def _refuse_inner_names(call: Call) -> None:
    """Nova refuses the names of its inner tables, but only to those whose other unknown names it keeps."""
    for name, _ in call.query_items:
        if is_inner(name):
            raise Invalid(f"Invalid filter field: {name}.")


def _all_projects(query: ListServers) -> bool:
    """An empty `all_tenants` asks for all of them."""
    return query.all_tenants is not None and (not query.all_tenants or _boolean(query.all_tenants))


def _locked(query: ListServers) -> bool | None:
    return None if query.locked is None else _boolean(query.locked)


def _boolean(text: str) -> bool:
    try:
        return bool(strutils.bool_from_string(text, strict=True))
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
    ignored = FORMER_SORT_KEYS | IDLE_SORT_KEYS
    if call.version in SORTED_BY_LOCK:
        ignored -= {"locked"}
    kept = [pair for pair in zip(keys, directions, strict=True) if pair[0] not in ignored]
    for key, _ in kept:
        if key in {"host", "node"} and not call.caller.is_admin:
            raise Forbidden(f"Only administrators can sort servers by {key}")
    return tuple(key for key, _ in kept), tuple(direction for _, direction in kept)
