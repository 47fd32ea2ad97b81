"""createImage: an image of a server's root disk, as transactions. The image itself is Glance's."""

from collections.abc import Collection

import procrastinate
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from renova.compute import actions, transitions
from renova.compute.caller import Caller
from renova.compute.states import TRANSITIONS, TaskState
from renova.db.tables import Action, Server


async def begin_snapshot(
    session: AsyncSession, jobs: procrastinate.App, caller: Caller, server: Server, image_id: str
) -> None:
    """Raises ServerNotFound, ServerBusy. A locked server may be copied, as in Nova."""
    await transitions.begin(session, caller, server, TRANSITIONS["createImage"])
    await actions.open_action(session, jobs, caller, server, "createImage", {"image_id": image_id})


async def note_upload(session: AsyncSession, action: Action, tasks: Collection[TaskState]) -> bool:
    """The disk is copied. False when the server is being deleted meanwhile."""
    noted = await session.scalar(
        update(Server)
        .where(Server.id == action.server_id, Server.task_state.in_(tasks))
        .values(task_state=TaskState.IMAGE_UPLOADING)
        .returning(Server.id)
    )
    return noted is not None


async def commit_snapshot(session: AsyncSession, action: Action, tasks: Collection[TaskState]) -> bool:
    """The image is whole. Nothing has changed about the server."""
    return await transitions.end(session, action.server_id, tasks)


async def fail_snapshot(session: AsyncSession, action: Action, tasks: Collection[TaskState], _: str) -> bool:
    """Nothing has changed about the server, and its action says what went wrong."""
    return await transitions.end(session, action.server_id, tasks)
