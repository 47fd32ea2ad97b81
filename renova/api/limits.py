"""Limits: what a project may have, and what it has. Source: Nova's API reference, "Limits (limits)"."""

from renova.api.policies import LIMITS, LIMITS_OTHER_PROJECT
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.limits import ShowLimits
from renova.api.views.limits import AbsoluteLimits
from renova.compute.quotas import Limits, limits_of, usage_of

routes = Routes()


@routes.on(
    "GET", "/limits", query=ShowLimits, answer={"limits": {"rate": list[str], "absolute": AbsoluteLimits}}
)
async def index(call: Call) -> Answer:
    query = call.query(ShowLimits)
    call.can(LIMITS)
    if query.tenant_id is not None:
        call.can(LIMITS_OTHER_PROJECT)
    async with call.reading() as session:
        project_id = query.tenant_id or call.caller.project_id
        limits = await limits_of(session, Limits.of(call.parts.conf), project_id)
        usage = await usage_of(session, project_id)
    absolute = AbsoluteLimits.of(limits, usage)
    return Answer({"limits": {"rate": [], "absolute": absolute}})
