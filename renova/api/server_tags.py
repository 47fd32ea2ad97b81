"""`/servers/{server_id}/tags`, from microversion 2.26 on: all of them, or one."""

from urllib.parse import quote

from renova.api.microversions import since
from renova.api.policies import SERVER_TAGS
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.server_tags import WholeTags
from renova.api.servers import found
from renova.compute import tags
from renova.compute.tags import TagNotFound
from renova.errors import Invalid

routes = Routes()

ALL, ONE = "/servers/{server_id}/tags", "/servers/{server_id}/tags/{tag}"
SINCE = since("2.26")
TAGS = {"tags": list[str]}


@routes.on("GET", ALL, SINCE, answer=TAGS)
async def index(call: Call) -> Answer:
    async with call.reading() as session:
        server = await found(call, session, SERVER_TAGS + "index")
    return Answer({"tags": server.tags})


@routes.on("GET", ONE, SINCE, status=204)
async def show(call: Call) -> Answer:
    async with call.reading() as session:
        server = await found(call, session, SERVER_TAGS + "show")
    if call.path["tag"] not in server.tags:
        raise TagNotFound(server.id, call.path["tag"])
    return Answer()


@routes.on("PUT", ALL, SINCE, body=WholeTags, answer=TAGS)
async def update_all(call: Call) -> Answer:
    wanted = call.parse(WholeTags).tags
    async with call.transaction() as session:
        server = await found(call, session, SERVER_TAGS + "update_all")
        await tags.replace(session, server, wanted, "update tags")
    return Answer({"tags": server.tags})


@routes.on("PUT", ONE, SINCE, status=(201, 204))
async def update(call: Call) -> Answer:
    tag = call.path["tag"]
    if call.body is not None:
        raise Invalid(f"{call.body!r} is not of type 'null'")
    async with call.transaction() as session:
        server = await found(call, session, SERVER_TAGS + "update")
        added = await tags.add(session, server, tag)
    if not added:
        return Answer(status=204)
    (own, _) = call.links.of("servers", server.id)
    return Answer(status=201, headers={"Location": f"{own['href']}/tags/{quote(tag, safe='')}"})


@routes.on("DELETE", ONE, SINCE, status=204)
async def delete(call: Call) -> Answer:
    async with call.transaction() as session:
        server = await found(call, session, SERVER_TAGS + "delete")
        await tags.remove(session, server, call.path["tag"])
    return Answer()


@routes.on("DELETE", ALL, SINCE, status=204)
async def delete_all(call: Call) -> Answer:
    async with call.transaction() as session:
        server = await found(call, session, SERVER_TAGS + "delete_all")
        await tags.replace(session, server, [], "delete tags")
    return Answer()
