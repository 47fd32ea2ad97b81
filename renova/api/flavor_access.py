"""Which projects may use a flavor that is not public. Source: Nova's API reference, "Flavors access"."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from renova.api.errors import NotFound
from renova.api.microversions import Change
from renova.api.policies import FLAVOR_ACCESS
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.flavor_access import AddTenantAccess, RemoveTenantAccess
from renova.compute import flavors
from renova.errors import Conflict

routes = Routes()

ACTION = "/flavors/{flavor_id}/action"
ACCESS = {"flavor_access": [{"flavor_id": str, "tenant_id": str}]}
NOT_TO_PUBLIC = Change("2.7", "a public flavor can't be given to a project (409)")


@routes.on("GET", "/flavors/{flavor_id}/os-flavor-access", answer=ACCESS)
async def index(call: Call) -> Answer:
    call.can(FLAVOR_ACCESS)
    async with call.reading() as session:
        flavor = await flavors.find_flavor(session, call.path["flavor_id"], call.caller)
        if flavor.is_public:
            raise NotFound("Access list not available for public flavors.")
        return await _access(session, flavor.id)


@routes.action(ACTION, "addTenantAccess", body=AddTenantAccess, answer=ACCESS)
async def add(call: Call) -> Answer:
    project_id = call.parse(AddTenantAccess).to.tenant
    call.can(FLAVOR_ACCESS + ":add_tenant_access")
    async with call.transaction() as session:
        flavor = await flavors.find_flavor(session, call.path["flavor_id"], call.caller)
        if flavor.is_public and call.version in NOT_TO_PUBLIC:
            raise Conflict("Can not add access to a public flavor.")
        await flavors.add_access(session, flavor.id, project_id)
        return await _access(session, flavor.id)


@routes.action(ACTION, "removeTenantAccess", body=RemoveTenantAccess, answer=ACCESS)
async def remove(call: Call) -> Answer:
    project_id = call.parse(RemoveTenantAccess).of.tenant
    call.can(FLAVOR_ACCESS + ":remove_tenant_access")
    async with call.transaction() as session:
        flavor = await flavors.find_flavor(session, call.path["flavor_id"], call.caller)
        await flavors.remove_access(session, flavor.id, project_id)
        return await _access(session, flavor.id)


async def _access(session: AsyncSession, flavor_id: str) -> Answer:
    projects = await flavors.projects_of(session, flavor_id)
    access: list[dict[str, Any]] = [{"flavor_id": flavor_id, "tenant_id": project} for project in projects]
    return Answer({"flavor_access": access})
