"""`/servers/{server_id}/os-instance-actions`: what was asked of a server and what came of it."""

from renova.api.changes import check_order
from renova.api.errors import NotFound
from renova.api.forms import NEXT
from renova.api.microversions import Change
from renova.api.policies import INSTANCE_ACTIONS
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.instance_actions import ListActions
from renova.api.servers import found
from renova.api.views import instance_actions as views
from renova.compute import actions
from renova.compute.pages import Page

routes = Routes()

OF_DELETED_SERVERS = Change("2.21", "the actions of a deleted server are shown too")
IN_PAGES = Change("2.58", "`links` leads from one page of a server's actions to the next")


@routes.on(
    "GET",
    "/servers/{server_id}/os-instance-actions",
    query=ListActions,
    answer={"instanceActions": [views.ActionEntry], "links": NEXT},
)
async def index(call: Call) -> Answer:
    query = call.query(ListActions)
    check_order(query.changes_since, query.changes_before)
    # Before 2.58 the list is whole, however long: nothing leads to a second page.
    page = call.page(query) if call.version in IN_PAGES else Page()
    async with call.reading() as session:
        server = await found(call, session, INSTANCE_ACTIONS + "list", deleted=_sees_deleted(call))
        rows = await actions.list_actions(
            session, server.id, page, changes_since=query.changes_since, changes_before=query.changes_before
        )
    next_links = call.next_links(
        f"servers/{server.id}/os-instance-actions", page, [row.request_id for row in rows], name="links"
    )
    return Answer({"instanceActions": [views.entry(row) for row in rows], **next_links})


@routes.on(
    "GET",
    "/servers/{server_id}/os-instance-actions/{request_id}",
    answer={"instanceAction": views.ActionDetail},
)
async def show(call: Call) -> Answer:
    request_id = call.path["request_id"]
    async with call.reading() as session:
        server = await found(call, session, INSTANCE_ACTIONS + "show", deleted=_sees_deleted(call))
        action = await actions.find_action(session, server.id, request_id)
    if action is None:
        raise NotFound(f"Action {request_id} not found")
    privileged = call.may(INSTANCE_ACTIONS + "events", project_id=server.project_id)
    detailed = call.may(INSTANCE_ACTIONS + "events:details", project_id=server.project_id)
    view = views.detail(action, with_tracebacks=privileged, with_details=detailed)
    return Answer({"instanceAction": view})


def _sees_deleted(call: Call) -> bool:
    return call.version in OF_DELETED_SERVERS
