"""An admin says what state a server is in. Nothing of the server itself is touched."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from renova.compute import actions, transitions
from renova.compute.caller import Caller
from renova.compute.states import VmState
from renova.db.tables import Server
from renova.errors import ServerBusy, ServerNotFound


async def reset_state(session: AsyncSession, caller: Caller, server: Server, vm_state: VmState) -> None:
    """Raises ServerBusy while a task is under way.

    Nova would end the task on paper. Here every task has an agent that carries it on however often it is
    killed, so the state would be a lie, and what is begun next would meet the task that still runs.
    """
    await transitions.lock(session, server)
    if server.deleted_at is not None:
        raise ServerNotFound(server.id)
    if server.task_state is not None:
        raise ServerBusy(server.id, "reset_state", "task_state", server.task_state)
    server.vm_state = vm_state
    server.fault = None
    server.updated_at = datetime.now(UTC)
    await actions.record(session, caller, server, "resetState")
