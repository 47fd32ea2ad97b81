"""A small API of things, for what every call has in common; and how an error is looked at."""

from typing import Annotated

import httpx
import sqlalchemy.exc
from pydantic import Field

from renova.api.marked import Request, View
from renova.api.microversions import since, until
from renova.api.policies import SERVERS
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.types import Name, Paged
from renova.errors import Conflict, NotFound, Unavailable

routes = Routes()


class Thing(Request):
    name: Name
    colour: Annotated[str, since("2.19")] = "none"


class NewThing(Request):
    thing: Thing


class ThingView(View):
    name: str
    old: Annotated[int, until("2.18")]
    colour: Annotated[str, since("2.19"), Field(alias="OS-EXT:colour")]


@routes.on("GET", "/things")
async def index(call: Call) -> Answer:
    page = call.page(call.query(Paged))
    names = ["a", "b", "c"][: page.limit]
    return Answer({"things": names, **call.next_links("things", page, names)})


@routes.on("GET", "/things/special")
async def special(_: Call) -> Answer:
    return Answer({"special": True})


@routes.on("GET", "/things/{thing_id}")
async def show(call: Call) -> Answer:
    return Answer({"id": call.path["thing_id"], "links": call.links.of("things", call.path["thing_id"])})


@routes.on("POST", "/things")
async def create(call: Call) -> Answer:
    thing = call.parse(NewThing).thing
    return Answer({"thing": ThingView(name=thing.name, old=1, colour=thing.colour)}, status=201)


@routes.on("DELETE", "/things/{thing_id}")
async def delete(call: Call) -> Answer:
    call.can(SERVERS + "delete")
    return Answer(status=204)


@routes.on("PUT", "/things/{thing_id}", since("2.30"))
async def update(call: Call) -> Answer:
    return Answer({"caller": call.caller.user_id, "sent": call.body})


FAILURES = {
    "missing": NotFound("Thing x could not be found."),
    "busy": Conflict("busy"),
    "glance": Unavailable("The image service does not answer."),
    "database": sqlalchemy.exc.OperationalError("SELECT secret", None, Exception("down")),
    "bug": ZeroDivisionError("a detail of our insides"),
}


@routes.on("GET", "/failures/{kind}")
async def fail(call: Call) -> Answer:
    raise FAILURES[call.path["kind"]]


@routes.action("/things/{thing_id}/action", "paint")
async def paint(call: Call) -> Answer:
    return Answer({"painted": call.body["paint"]}, status=202)


@routes.action("/things/{thing_id}/action", "melt", since("2.40"))
async def melt(_: Call) -> Answer:
    return Answer(status=202)


def fault(answer: httpx.Response, status: int, name: str) -> str:
    """The sentence of an error, after a check of everything around it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    (envelope,) = answer.json().items()
    assert envelope[0] == name
    assert envelope[1]["code"] == status
    assert set(envelope[1]) == {"code", "message"}
    assert isinstance(envelope[1]["message"], str)
    return str(envelope[1]["message"])
