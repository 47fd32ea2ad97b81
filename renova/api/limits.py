"""Limits: what a project may have, and what it has. Source: Nova's API reference, "Limits (limits)"."""

from renova.api.policies import LIMITS, LIMITS_OTHER_PROJECT
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.limits import ShowLimits
from renova.api.views.limits import AbsoluteLimits
from renova.compute.quotas import Limits, usage_of

routes = Routes()


@routes.on("GET", "/limits")
async def index(call: Call) -> Answer:
    query = call.query(ShowLimits)
    call.can(LIMITS)
    if query.tenant_id is not None:
        call.can(LIMITS_OTHER_PROJECT)
    async with call.transaction() as session:
        usage = await usage_of(session, query.tenant_id or call.caller.project_id)
    absolute = AbsoluteLimits.of(Limits.of(call.parts.conf), usage)
    return Answer({"limits": {"rate": [], "absolute": absolute}})
