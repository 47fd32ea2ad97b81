"""`POST /servers/{server_id}/action` with `undoRebuild`: back to the system before."""

from renova.api.policies import SERVERS
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.rebuild import UndoRebuildServer
from renova.api.server_actions import PATH
from renova.api.servers import found
from renova.compute.undo import Rules, begin_undo

routes = Routes()


@routes.action(PATH, "undoRebuild", body=UndoRebuildServer, status=202)
async def undo(call: Call) -> Answer:
    call.parse(UndoRebuildServer)
    async with call.transaction() as session:
        server = await found(call, session, SERVERS + "undo_rebuild")
        await begin_undo(session, call.parts.jobs, call.caller, server, Rules.of(call.parts.conf))
    return Answer()
