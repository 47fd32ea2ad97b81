"""`POST /servers/{server_id}/action`: start, stop, reboot, lock, unlock and the output of the console."""

import re

from renova.api.policies import CONSOLE_OUTPUT, LOCK_SERVER, SERVERS, UNLOCK_OVERRIDE
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.server_actions import (
    GetConsoleOutput,
    LockServer,
    RebootServer,
    StartServer,
    StopServer,
    UnlockServer,
)
from renova.api.servers import found
from renova.clients import agent as agents
from renova.compute import hosts, locks, power, transitions
from renova.errors import Unavailable

routes = Routes()

PATH = "/servers/{server_id}/action"
# What Nova takes out of a console's output; tabs and line ends stay.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f]")


@routes.action(PATH, "os-start", body=StartServer, status=202)
async def start(call: Call) -> Answer:
    call.parse(StartServer)
    async with call.transaction() as session:
        server = await found(call, session, SERVERS + "start")
        await power.begin_start(session, call.parts.jobs, call.caller, server)
    return Answer()


@routes.action(PATH, "os-stop", body=StopServer, status=202)
async def stop(call: Call) -> Answer:
    call.parse(StopServer)
    async with call.transaction() as session:
        server = await found(call, session, SERVERS + "stop")
        await power.begin_stop(session, call.parts.jobs, call.caller, server)
    return Answer()


@routes.action(PATH, "reboot", body=RebootServer, status=202)
async def reboot(call: Call) -> Answer:
    hard = call.parse(RebootServer).reboot.type.upper() == "HARD"
    async with call.transaction() as session:
        server = await found(call, session, SERVERS + "reboot")
        await power.begin_reboot(session, call.parts.jobs, call.caller, server, hard=hard)
    return Answer()


@routes.action(PATH, "lock", body=LockServer, status=202)
async def lock(call: Call) -> Answer:
    asked = call.parse(LockServer).details
    async with call.transaction() as session:
        server = await found(call, session, LOCK_SERVER + "lock")
        await locks.lock(session, call.caller, server, asked.locked_reason if asked else None)
    return Answer()


@routes.action(PATH, "unlock", body=UnlockServer, status=202)
async def unlock(call: Call) -> Answer:
    call.parse(UnlockServer)
    async with call.transaction() as session:
        server = await found(call, session, LOCK_SERVER + "unlock")
        await transitions.lock(session, server)
        if locks.is_anothers(call.caller, server):
            call.can(UNLOCK_OVERRIDE, project_id=server.project_id)
        await locks.unlock(session, call.caller, server)
    return Answer()


@routes.action(PATH, "os-getConsoleOutput", body=GetConsoleOutput, answer={"output": str})
async def get_console_output(call: Call) -> Answer:
    length = call.parse(GetConsoleOutput).wanted.length
    async with call.transaction() as session:
        server = await found(call, session, CONSOLE_OUTPUT)
        agent = await hosts.agent_of(session, server.host)
    secret = call.parts.conf.agent.secret
    if not secret:
        raise Unavailable("[agent] secret is not set.")
    # The transaction has ended: the agent may take its time.
    output = await agents.console_output(agent.address, server.id, length, secret)
    return Answer({"output": _CONTROL.sub("", output)})
