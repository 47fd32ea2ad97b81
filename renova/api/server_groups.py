"""`/os-server-groups`. Source: Nova's API reference, "Server groups (os-server-groups)"."""

from renova.api.policies import SERVER_GROUPS
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.server_groups import CreateGroup, ListGroups, NewGroup
from renova.api.views.server_groups import ServerGroupView
from renova.compute import server_groups
from renova.compute.quotas import Limits
from renova.compute.server_groups import NewServerGroup
from renova.errors import Invalid

routes = Routes()

ONE = "/os-server-groups/{group_id}"


@routes.on("GET", "/os-server-groups", query=ListGroups, answer={"server_groups": [ServerGroupView]})
async def index(call: Call) -> Answer:
    query = call.query(ListGroups)
    call.can(SERVER_GROUPS + "index")
    project_id: str | None = call.caller.project_id
    if query.all_projects is not None and call.caller.is_admin:
        call.can(SERVER_GROUPS + "index:all_projects")
        project_id = None
    longest = call.parts.conf.api.max_limit
    limit = min(query.limit or longest, longest)
    async with call.reading() as session:
        groups = await server_groups.list_groups(session, project_id, limit=limit, offset=query.offset or 0)
        members = await server_groups.members_of(session, [group.id for group in groups])
    return Answer({"server_groups": [ServerGroupView.of(group, members[group.id]) for group in groups]})


@routes.on("POST", "/os-server-groups", body=CreateGroup, answer={"server_group": ServerGroupView})
async def create(call: Call) -> Answer:
    asked = call.parse(CreateGroup).server_group
    call.can(SERVER_GROUPS + "create")
    new = _new(asked)
    async with call.transaction() as session:
        defaults = Limits.of(call.parts.conf)
        group = await server_groups.create_group(session, defaults, call.caller, new)
    return Answer({"server_group": ServerGroupView.of(group, [])})


@routes.on("GET", ONE, answer={"server_group": ServerGroupView})
async def show(call: Call) -> Answer:
    async with call.reading() as session:
        group = await server_groups.find_group(session, call.path["group_id"], call.caller)
        call.can(SERVER_GROUPS + "show", project_id=group.project_id)
        members = await server_groups.members_of(session, [group.id])
    return Answer({"server_group": ServerGroupView.of(group, members[group.id])})


@routes.on("DELETE", ONE, status=204)
async def delete(call: Call) -> Answer:
    """Its servers stay where they are and are in no group any more."""
    async with call.transaction() as session:
        group = await server_groups.find_group(session, call.path["group_id"], call.caller)
        call.can(SERVER_GROUPS + "delete", project_id=group.project_id)
        await session.delete(group)
    return Answer()


def _new(asked: NewGroup) -> NewServerGroup:
    most = asked.rules.max_server_per_host if asked.rules else None
    if most is not None and asked.policy != "anti-affinity":
        raise Invalid("Only anti-affinity policy supports rules.")
    return NewServerGroup(asked.name, asked.policy, most)
