"""`/servers/{server_id}/os-instance-actions`: what was asked of a server and what came of it."""

from renova.api.errors import NotFound
from renova.api.microversions import Version
from renova.api.policies import INSTANCE_ACTIONS
from renova.api.requests import Answer, Call, Routes
from renova.api.servers import found
from renova.api.views import instance_actions as views
from renova.compute import actions

routes = Routes()

_OF_DELETED_SERVERS = Version(2, 21)


@routes.on("GET", "/servers/{server_id}/os-instance-actions")
async def index(call: Call) -> Answer:
    async with call.transaction() as session:
        server = await found(call, session, INSTANCE_ACTIONS + "list", deleted=_sees_deleted(call))
        rows = await actions.list_actions(session, server.id)
    return Answer({"instanceActions": [views.entry(row) for row in rows]})


@routes.on("GET", "/servers/{server_id}/os-instance-actions/{request_id}")
async def show(call: Call) -> Answer:
    request_id = call.path["request_id"]
    async with call.transaction() as session:
        server = await found(call, session, INSTANCE_ACTIONS + "show", deleted=_sees_deleted(call))
        action = await actions.find_action(session, server.id, request_id)
    if action is None:
        raise NotFound(f"Action {request_id} not found")
    privileged = call.may(INSTANCE_ACTIONS + "events", project_id=server.project_id)
    return Answer({"instanceAction": views.detail(action, with_tracebacks=privileged)})


def _sees_deleted(call: Call) -> bool:
    return call.version >= _OF_DELETED_SERVERS
