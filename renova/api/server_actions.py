"""`POST /servers/{server_id}/action`: start, stop, reboot and the output of the console."""

from renova.api.policies import SERVERS
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.server_actions import RebootServer, StartServer, StopServer
from renova.api.servers import found
from renova.compute import power

routes = Routes()

PATH = "/servers/{server_id}/action"


@routes.action(PATH, "os-start")
async def start(call: Call) -> Answer:
    call.parse(StartServer)
    async with call.transaction() as session:
        server = await found(call, session, SERVERS + "start")
        await power.begin_start(session, call.parts.jobs, call.caller, server)
    return Answer(status=202)


@routes.action(PATH, "os-stop")
async def stop(call: Call) -> Answer:
    call.parse(StopServer)
    async with call.transaction() as session:
        server = await found(call, session, SERVERS + "stop")
        await power.begin_stop(session, call.parts.jobs, call.caller, server)
    return Answer(status=202)


@routes.action(PATH, "reboot")
async def reboot(call: Call) -> Answer:
    hard = call.parse(RebootServer).reboot.type.upper() == "HARD"
    async with call.transaction() as session:
        server = await found(call, session, SERVERS + "reboot")
        await power.begin_reboot(session, call.parts.jobs, call.caller, server, hard=hard)
    return Answer(status=202)
