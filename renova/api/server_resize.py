"""`POST /servers/{server_id}/action`: another flavor, and what its owner says of it afterwards."""

from renova.api.boot_images import least_ram
from renova.api.policies import SERVERS
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.resize import ConfirmResize, ResizeServer, RevertResize
from renova.api.schemas.types import last_part
from renova.api.server_actions import PATH
from renova.api.servers import found
from renova.compute import flavors, resize, transitions
from renova.compute.quotas import Limits
from renova.compute.states import TRANSITIONS
from renova.errors import FlavorNotFound, Invalid

routes = Routes()


@routes.action(PATH, "resize", body=ResizeServer, status=202)
async def begin(call: Call) -> Answer:
    asked = call.parse(ResizeServer).resize
    async with call.transaction() as session:
        server = await found(call, session, SERVERS + "resize")
        transitions.check(call.caller, server, TRANSITIONS["resize"])
        try:
            flavor = await flavors.find_flavor(session, last_part(str(asked.flavor_ref)), call.caller)
        except FlavorNotFound as error:
            raise Invalid(error.message) from error
        if flavor.disabled and flavor.id != server.flavor["id"]:
            raise Invalid(FlavorNotFound(flavor.id).message)
        await resize.check_flavor(session, server, flavor)
        image_id = server.image_id
    # Between two transactions: Glance may take its time, and a connection of the pool is not to wait for it.
    if flavor.ram < await least_ram(call, image_id):
        raise Invalid("Flavor's memory is too small for requested image.")
    async with call.transaction() as session:
        server = await found(call, session, SERVERS + "resize")
        limits = Limits.of(call.parts.conf)
        await resize.begin_resize(
            session, call.parts.jobs, call.caller, server, limits, flavor, asked.disk_config
        )
    return Answer()


@routes.action(PATH, "confirmResize", body=ConfirmResize, status=204)
async def confirm(call: Call) -> Answer:
    call.parse(ConfirmResize)
    async with call.transaction() as session:
        server = await found(call, session, SERVERS + "confirm_resize")
        await resize.begin_confirm(session, call.parts.jobs, call.caller, server)
    return Answer()


@routes.action(PATH, "revertResize", body=RevertResize, status=202)
async def revert(call: Call) -> Answer:
    call.parse(RevertResize)
    async with call.transaction() as session:
        server = await found(call, session, SERVERS + "revert_resize")
        limits = Limits.of(call.parts.conf)
        await resize.begin_revert(session, call.parts.jobs, call.caller, server, limits)
    return Answer()
