"""`/flavors/{flavor_id}/os-extra_specs`: what else is to be said of a flavor. It means nothing here.

Source: Nova's API reference, "Flavors extra-specs".
"""

from typing import Any

from renova.api.errors import NotFound
from renova.api.microversions import Change
from renova.api.policies import FLAVOR_EXTRA_SPECS
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas import known_extra_specs
from renova.api.schemas.flavor_extra_specs import AddExtraSpecs, one_extra_spec
from renova.compute import flavors
from renova.errors import Invalid

routes = Routes()

KNOWN_ONLY = Change("2.86", "extra specs of Nova's own namespaces are validated")
ALL = "/flavors/{flavor_id}/os-extra_specs"
ONE = ALL + "/{key}"
AS_SENT = dict[str, str | int | float]


class NoSuchExtraSpec(NotFound):
    def __init__(self, flavor_id: str, key: str) -> None:
        super().__init__(f"Flavor {flavor_id} has no extra specs with key {key}.")


@routes.on("GET", ALL, answer={"extra_specs": dict[str, str]})
async def index(call: Call) -> Answer:
    call.can(FLAVOR_EXTRA_SPECS + "index")
    return Answer({"extra_specs": await _specs(call)})


@routes.on("POST", ALL, body=AddExtraSpecs, answer={"extra_specs": AS_SENT})
async def create(call: Call) -> Answer:
    sent = call.parse(AddExtraSpecs).extra_specs
    call.can(FLAVOR_EXTRA_SPECS + "create")
    await _add(call, sent)
    return Answer({"extra_specs": sent})


@routes.on("GET", ONE, answer=dict[str, str])
async def show(call: Call) -> Answer:
    call.can(FLAVOR_EXTRA_SPECS + "show")
    key, specs = call.path["key"], await _specs(call)
    if key not in specs:
        raise NoSuchExtraSpec(call.path["flavor_id"], key)
    return Answer({key: specs[key]})


@routes.on("PUT", ONE, answer=AS_SENT)
async def update(call: Call) -> Answer:
    sent = one_extra_spec(call.body)
    call.can(FLAVOR_EXTRA_SPECS + "update")
    if call.path["key"] not in sent:
        raise Invalid("Request body and URI mismatch")
    await _add(call, sent)
    return Answer(dict(sent))


@routes.on("DELETE", ONE)
async def delete(call: Call) -> Answer:
    flavor_id, key = call.path["flavor_id"], call.path["key"]
    call.can(FLAVOR_EXTRA_SPECS + "delete")
    async with call.transaction() as session:
        if not await flavors.remove_extra_spec(session, flavor_id, key):
            raise NoSuchExtraSpec(flavor_id, key)
    return Answer()


async def _specs(call: Call) -> dict[str, str]:
    async with call.transaction() as session:
        return (await flavors.find_flavor(session, call.path["flavor_id"], call.caller)).extra_specs


async def _add(call: Call, sent: dict[str, Any]) -> None:
    """A number is answered as one and kept as its text, as in Nova."""
    specs = {key: str(value) for key, value in sent.items()}
    if call.version in KNOWN_ONLY:
        for key, value in specs.items():
            known_extra_specs.check(key, value)
    async with call.transaction() as session:
        await flavors.add_extra_specs(session, call.path["flavor_id"], specs)
