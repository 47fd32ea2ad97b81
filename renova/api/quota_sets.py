"""Quotas: what each project may have. Source: Nova's API reference, "Quota sets (os-quota-sets)".

There are no quotas of single users: they may use all that their project has.
"""

from renova.api.policies import QUOTA_SETS
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.quota_sets import OfUser, UpdateQuotas
from renova.api.views.quota_sets import QuotaSet
from renova.compute import quotas
from renova.compute.quotas import Limits
from renova.errors import Invalid

routes = Routes()

PATH = "/os-quota-sets/{project_id}"


class NoUserQuotas(Invalid):
    """Quotas of a single user can not be set: they are those of the project."""


@routes.on("GET", PATH, query=OfUser, answer={"quota_set": QuotaSet})
async def show(call: Call) -> Answer:
    project_id = call.path["project_id"]
    call.query(OfUser)
    call.can(QUOTA_SETS + "show", project_id=project_id)
    async with call.reading() as session:
        limits = await quotas.limits_of(session, _defaults(call), project_id)
    return Answer({"quota_set": QuotaSet.of(project_id, limits)})


@routes.on("GET", PATH + "/detail", query=OfUser, answer={"quota_set": QuotaSet})
async def detail(call: Call) -> Answer:
    project_id = call.path["project_id"]
    user_id = call.query(OfUser).user_id
    call.can(QUOTA_SETS + "detail", project_id=project_id)
    async with call.reading() as session:
        limits = await quotas.limits_of(session, _defaults(call), project_id)
        usage = await quotas.usage_of(session, project_id, user_id)
    return Answer({"quota_set": QuotaSet.detailed(project_id, limits, usage)})


@routes.on("GET", PATH + "/defaults", answer={"quota_set": QuotaSet})
async def defaults(call: Call) -> Answer:
    project_id = call.path["project_id"]
    call.can(QUOTA_SETS + "defaults", project_id=project_id)
    return Answer({"quota_set": QuotaSet.of(project_id, _defaults(call))})


@routes.on("PUT", PATH, body=UpdateQuotas, answer={"quota_set": QuotaSet})
async def update(call: Call) -> Answer:
    project_id = call.path["project_id"]
    asked = call.parse(UpdateQuotas).quota_set
    user_id = call.query(OfUser).user_id
    call.can(QUOTA_SETS + "update", project_id=project_id)
    if user_id is not None:
        raise NoUserQuotas
    async with call.transaction() as session:
        wanted = asked.model_dump(exclude_unset=True, exclude={"force"})
        await quotas.set_limits(session, project_id, wanted, force=asked.force)
        limits = await quotas.limits_of(session, _defaults(call), project_id)
    return Answer({"quota_set": QuotaSet.updated(limits)})


@routes.on("DELETE", PATH, status=202)
async def delete(call: Call) -> Answer:
    project_id = call.path["project_id"]
    user_id = call.query(OfUser).user_id
    call.can(QUOTA_SETS + "delete", project_id=project_id)
    if user_id is not None:
        raise NoUserQuotas
    async with call.transaction() as session:
        await quotas.forget_limits(session, project_id)
    return Answer()


def _defaults(call: Call) -> Limits:
    return Limits.of(call.parts.conf)
