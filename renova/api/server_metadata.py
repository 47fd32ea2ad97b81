"""`/servers/{server_id}/metadata`: all of it, or one item."""

from sqlalchemy.ext.asyncio import AsyncSession

from renova.api.policies import SERVER_METADATA
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.server_metadata import MetadataItem, WholeMetadata
from renova.api.servers import found
from renova.compute import metadata
from renova.compute.metadata import MetadataItemNotFound, Rules
from renova.db.tables import Server
from renova.errors import Invalid

routes = Routes()

ALL = "/servers/{server_id}/metadata"
ONE = ALL + "/{key}"
METADATA, ITEM = {"metadata": dict[str, str]}, {"meta": dict[str, str]}


@routes.on("GET", ALL, answer=METADATA)
async def index(call: Call) -> Answer:
    async with call.reading() as session:
        server = await found(call, session, SERVER_METADATA + "index")
    return Answer({"metadata": metadata.shown(server)})


@routes.on("GET", ONE, answer=ITEM)
async def show(call: Call) -> Answer:
    key = call.path["key"]
    async with call.reading() as session:
        server = await found(call, session, SERVER_METADATA + "show")
    items = metadata.shown(server)
    if key not in items:
        raise MetadataItemNotFound
    return Answer({"meta": {key: items[key]}})


@routes.on("POST", ALL, body=WholeMetadata, answer=METADATA)
async def create(call: Call) -> Answer:
    items = call.parse(WholeMetadata).metadata
    async with call.transaction() as session:
        server = await found(call, session, SERVER_METADATA + "create")
        rules = await _rules(call, session, server)
        await metadata.write(session, rules, call.caller, server, items, replace=False)
    return Answer({"metadata": metadata.shown(server)})


@routes.on("PUT", ALL, body=WholeMetadata, answer=METADATA)
async def update_all(call: Call) -> Answer:
    items = call.parse(WholeMetadata).metadata
    async with call.transaction() as session:
        server = await found(call, session, SERVER_METADATA + "update_all")
        rules = await _rules(call, session, server)
        await metadata.write(session, rules, call.caller, server, items, replace=True)
    return Answer({"metadata": metadata.shown(server)})


@routes.on("PUT", ONE, body=MetadataItem, answer=ITEM)
async def update(call: Call) -> Answer:
    item = call.parse(MetadataItem).meta
    async with call.transaction() as session:
        server = await found(call, session, SERVER_METADATA + "update")
        if call.path["key"] not in item:
            raise Invalid("Request body and URI mismatch")
        rules = await _rules(call, session, server)
        await metadata.write(session, rules, call.caller, server, item, replace=False)
    return Answer({"meta": item})


@routes.on("DELETE", ONE, status=204)
async def delete(call: Call) -> Answer:
    async with call.transaction() as session:
        server = await found(call, session, SERVER_METADATA + "delete")
        rules = await _rules(call, session, server)
        await metadata.remove(session, rules, call.caller, server, call.path["key"])
    return Answer()


async def _rules(call: Call, session: AsyncSession, server: Server) -> Rules:
    return await Rules.of(session, call.parts.conf, server.project_id)
