"""Network cards of a server that exists: added and taken away while it is off."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from renova.compute import actions, networks, transitions
from renova.compute.caller import Caller
from renova.compute.networks import WantedPort
from renova.compute.states import VmState
from renova.db.tables import Port, Server
from renova.errors import NotFound, RenovaError, ServerBusy, ServerLocked, ServerNotFound


class NotOfARunningGuest(RenovaError):
    """The requested functionality is not supported."""

    code = 501  # As in Nova with a hypervisor that can't.


async def attach(session: AsyncSession, caller: Caller, server: Server, wanted: WantedPort) -> Port:
    """A new port behind those that the server has; its next start has the card.

    Raises ServerBusy unless the server is off and at rest, ServerLocked, Forbidden for a port too many,
    Invalid and Conflict as `networks.create_port`.
    """
    await _lock(session, caller, server, "attach_interface")
    network = await networks.find_network(session, wanted.network_id)
    port = await networks.create_port(session, server, network, wanted.address)
    await actions.record(session, caller, server, "attach_interface")
    return port


async def detach(session: AsyncSession, caller: Caller, server: Server, port_id: str) -> None:
    """The port is gone, and its address free. Raises as `attach`, NotFound, and NotOfARunningGuest."""
    port = await session.get(Port, port_id, populate_existing=True)
    if port is None or port.server_id != server.id:
        raise NotFound(f"Port id {port_id} could not be found.")
    if server.vm_state == VmState.ACTIVE:
        raise NotOfARunningGuest
    await _lock(session, caller, server, "detach_interface")
    await session.delete(port)
    await actions.record(session, caller, server, "detach_interface")


async def _lock(session: AsyncSession, caller: Caller, server: Server, action: str) -> None:
    """No guest runs and no agent is at work, until the transaction ends."""
    await transitions.lock(session, server)
    if server.deleted_at is not None:
        raise ServerNotFound(server.id)
    if server.locked_by is not None and not caller.is_admin:
        raise ServerLocked(server.id)
    if server.vm_state != VmState.STOPPED:
        raise ServerBusy(server.id, action, "vm_state", server.vm_state)
    if server.task_state is not None:
        raise ServerBusy(server.id, action, "task_state", server.task_state)
    server.updated_at = datetime.now(UTC)
