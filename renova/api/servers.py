"""`/servers/{server_id}`: show, update, delete and the addresses of one server."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from renova.api.errors import NotFound
from renova.api.forms import Changed
from renova.api.microversions import Change
from renova.api.policies import EXTENDED_SERVER_ATTRIBUTES, IPS, SERVERS
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.servers import UpdateServer
from renova.api.views import servers as views
from renova.api.views.addresses import Address, addresses
from renova.api.views.servers import Sight
from renova.compute import power, servers
from renova.db.tables import Server

routes = Routes()

AS_SHOWN = Change("2.75", "what PUT and a rebuild answer has every field that GET shows")


async def sight_of(
    call: Call, session: AsyncSession, hosts: set[str], project_id: str | None = None
) -> Sight:
    """What this caller may see of servers on these hosts, all of one project (default: the caller's own)."""
    statuses: dict[str, str] = {}
    if call.may(SERVERS + "show:host_status", project_id=project_id):
        statuses = await servers.host_statuses(session, hosts)
    elif call.may(SERVERS + "show:host_status:unknown-only", project_id=project_id):
        statuses = await servers.host_statuses(session, hosts)
        statuses = {host: status for host, status in statuses.items() if status == "UNKNOWN"}
    return Sight(
        links=call.links,
        host_attributes=call.may(EXTENDED_SERVER_ATTRIBUTES, project_id=project_id),
        extra_specs=call.may(SERVERS + "show:flavor-extra-specs", project_id=project_id),
        fault_details=call.caller.is_admin,
        host_status=statuses,
    )


async def sight_of_one(call: Call, session: AsyncSession, server: Server) -> Sight:
    return await sight_of(call, session, {server.host}, server.project_id)


async def found(call: Call, session: AsyncSession, rule: str, *, deleted: bool = False) -> Server:
    """The server that the path names, of which the caller may do `rule`. Raises 404 or 403."""
    server = await servers.find_server(session, call.path["server_id"], call.caller, deleted=deleted)
    call.can(rule, project_id=server.project_id, user_id=server.user_id)
    return server


@routes.on("GET", "/servers/{server_id}", answer={"server": views.ServerDetail})
async def show(call: Call) -> Answer:
    async with call.reading() as session:
        server = await found(call, session, SERVERS + "show")
        return Answer({"server": views.shown(server, await sight_of_one(call, session, server))})


@routes.on(
    "PUT",
    "/servers/{server_id}",
    body=UpdateServer,
    answer={"server": Changed(AS_SHOWN, views.ServerAnswer, views.ServerDetail)},
)
async def update(call: Call) -> Answer:
    changes = call.parse(UpdateServer).server
    async with call.transaction() as session:
        server = await found(call, session, SERVERS + "update")
        await servers.update_server(session, server, changes.columns())
        sight = await sight_of_one(call, session, server)
    answer = views.shown if call.version in AS_SHOWN else views.updated
    return Answer({"server": answer(server, sight)})


@routes.on("DELETE", "/servers/{server_id}", status=204)
async def delete(call: Call) -> Answer:
    async with call.transaction() as session:
        server = await found(call, session, SERVERS + "delete")
        await power.begin_delete(session, call.parts.jobs, call.caller, server)
    return Answer()


@routes.on("GET", "/servers/{server_id}/ips", answer={"addresses": dict[str, list[Address]]})
async def list_addresses(call: Call) -> Answer:
    async with call.reading() as session:
        server = await found(call, session, IPS + "index")
    return Answer({"addresses": addresses(server)})


@routes.on("GET", "/servers/{server_id}/ips/{label}", answer=dict[str, list[Address]])
async def show_addresses(call: Call) -> Answer:
    async with call.reading() as session:
        server = await found(call, session, IPS + "show")
    shown: dict[str, Any] = addresses(server)
    label = call.path["label"]
    if label not in shown:
        raise NotFound("Instance is not a member of specified network")
    return Answer({label: shown[label]})
