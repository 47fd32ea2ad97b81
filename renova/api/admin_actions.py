"""`POST /servers/{server_id}/action` for admins: os-resetState."""

from renova.api.policies import ADMIN_ACTIONS
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.admin_actions import ResetState
from renova.api.server_actions import PATH
from renova.api.servers import found
from renova.compute.reset_state import reset_state
from renova.compute.states import VmState

routes = Routes()


@routes.action(PATH, "os-resetState", body=ResetState, status=202)
async def reset(call: Call) -> Answer:
    state = VmState(call.parse(ResetState).wanted.state)
    async with call.transaction() as session:
        server = await found(call, session, ADMIN_ACTIONS + "reset_state")
        await reset_state(session, call.caller, server, state)
    return Answer()
