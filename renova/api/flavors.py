"""Flavors. Source: Nova's API reference, "Flavors (flavors)"."""

import uuid

from oslo_utils import strutils

from renova.api.forms import NEXT
from renova.api.microversions import since
from renova.api.policies import FLAVOR_EXTRA_SPECS, FLAVOR_MANAGE
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.flavors import CreateFlavor, ListFlavors, UpdateFlavor
from renova.api.schemas.types import MAX_INTEGER
from renova.api.views.flavors import FlavorBrief, FlavorView
from renova.compute import flavors
from renova.compute.flavors import FlavorFilters
from renova.db.tables import Flavor
from renova.errors import Invalid

routes = Routes()


@routes.on("GET", "/flavors", query=ListFlavors, answer={"flavors": [FlavorBrief], "flavors_links": NEXT})
async def index(call: Call) -> Answer:
    return await _list(call, FlavorBrief, "flavors")


@routes.on(
    "GET", "/flavors/detail", query=ListFlavors, answer={"flavors": [FlavorView], "flavors_links": NEXT}
)
async def detail(call: Call) -> Answer:
    return await _list(call, FlavorView, "flavors/detail")


@routes.on("GET", "/flavors/{flavor_id}", answer={"flavor": FlavorView})
async def show(call: Call) -> Answer:
    async with call.reading() as session:
        flavor = await flavors.find_flavor(session, call.path["flavor_id"], call.caller)
    return Answer({"flavor": _view(call, flavor)})


@routes.on("POST", "/flavors", body=CreateFlavor, answer={"flavor": FlavorView})
async def create(call: Call) -> Answer:
    asked = call.parse(CreateFlavor).flavor
    call.can(FLAVOR_MANAGE + "create")
    values = asked.model_dump() | {"id": asked.id or str(uuid.uuid4())}
    async with call.transaction() as session:
        flavor = await flavors.create_flavor(session, Flavor(**values))
    return Answer({"flavor": _view(call, flavor)})


@routes.on("PUT", "/flavors/{flavor_id}", since("2.55"), body=UpdateFlavor, answer={"flavor": FlavorView})
async def update(call: Call) -> Answer:
    description = call.parse(UpdateFlavor).flavor.description
    call.can(FLAVOR_MANAGE + "update")
    async with call.transaction() as session:
        flavor = await flavors.describe_flavor(session, call.path["flavor_id"], description)
    return Answer({"flavor": _view(call, flavor)})


@routes.on("DELETE", "/flavors/{flavor_id}", status=202)
async def delete(call: Call) -> Answer:
    call.can(FLAVOR_MANAGE + "delete")
    async with call.transaction() as session:
        await flavors.delete_flavor(session, call.path["flavor_id"])
    return Answer()


async def _list(call: Call, view: type[FlavorBrief], collection: str) -> Answer:
    query = call.query(ListFlavors)
    page = call.page(query, (query.sort_key,), (query.sort_dir,))
    filters = FlavorFilters(
        is_public=_is_public(query.is_public),
        min_ram=_integer("minRam", query.min_ram),
        min_disk=_integer("minDisk", query.min_disk),
        name=query.name,
    )
    async with call.transaction() as session:
        found = await flavors.list_flavors(session, call.caller, filters, page)
    specs = _sees_extra_specs(call)
    return Answer(
        {
            "flavors": [view.of(flavor, call.links, extra_specs=specs) for flavor in found],
            **call.next_links(collection, page, [flavor.id for flavor in found]),
        }
    )


def _view(call: Call, flavor: Flavor) -> FlavorView:
    return FlavorView.of(flavor, call.links, extra_specs=_sees_extra_specs(call))


def _sees_extra_specs(call: Call) -> bool:
    return call.may(FLAVOR_EXTRA_SPECS + "index")


def _is_public(text: str | None) -> bool | None:
    """Nova's three-valued filter: only public ones unless told, and both for "none"."""
    if text is None:
        return True
    if text.lower() == "none":
        return None
    try:
        return bool(strutils.bool_from_string(text, strict=True))
    except ValueError:
        raise Invalid(f"Invalid is_public filter [{text}]") from None


def _integer(name: str, text: str | None) -> int | None:
    """Kept within what a column can be compared with; no flavor is larger."""
    try:
        return None if text is None else max(-MAX_INTEGER, min(int(text), MAX_INTEGER))
    except ValueError:
        raise Invalid(f"Invalid {name} filter [{text}]") from None
