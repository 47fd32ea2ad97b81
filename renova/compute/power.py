"""Start, stop, reboot, delete: what the request writes and what the agent writes at the end."""

from collections.abc import Collection
from typing import Any

import procrastinate
from sqlalchemy import case, delete, func, null, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from renova.compute import actions, transitions
from renova.compute.caller import Caller
from renova.compute.states import ON, TRANSITIONS, PowerState, TaskState, VmState
from renova.db.tables import Action, Generation, Port, Server


async def begin_start(session: AsyncSession, jobs: procrastinate.App, caller: Caller, server: Server) -> None:
    """Raises ServerNotFound, ServerLocked, ServerBusy, as the four below do."""
    await transitions.begin(session, caller, server, TRANSITIONS["start"])
    await actions.open_action(session, jobs, caller, server, "start")


async def begin_stop(session: AsyncSession, jobs: procrastinate.App, caller: Caller, server: Server) -> None:
    await transitions.begin(session, caller, server, TRANSITIONS["stop"])
    await actions.open_action(session, jobs, caller, server, "stop")


async def begin_reboot(
    session: AsyncSession, jobs: procrastinate.App, caller: Caller, server: Server, *, hard: bool
) -> None:
    await transitions.begin(session, caller, server, TRANSITIONS["reboot_hard" if hard else "reboot"])
    await actions.open_action(session, jobs, caller, server, "reboot", {"hard": hard})


async def begin_delete(
    session: AsyncSession, jobs: procrastinate.App, caller: Caller, server: Server
) -> None:
    """Deleting interrupts what is under way. A second delete of the same server is accepted and changes
    nothing.
    """
    await transitions.lock(session, server)
    if server.task_state == TaskState.DELETING:
        return
    await transitions.begin(session, caller, server, TRANSITIONS["delete"], progress=0)
    await actions.open_action(session, jobs, caller, server, "delete")


async def commit_running(session: AsyncSession, action: Action, tasks: Collection[TaskState]) -> bool:
    """The server runs (start, reboot)."""
    return await transitions.end(
        session,
        action.server_id,
        tasks,
        vm_state=VmState.ACTIVE,
        power_state=PowerState.RUNNING,
    )


async def commit_stopped(session: AsyncSession, action: Action, tasks: Collection[TaskState]) -> bool:
    """The server is off and has no QEMU process."""
    return await transitions.end(
        session,
        action.server_id,
        tasks,
        vm_state=VmState.STOPPED,
        power_state=PowerState.SHUTDOWN,
    )


async def commit_deleted(session: AsyncSession, action: Action, tasks: Collection[TaskState]) -> bool:
    """The row stays, for os-instance-actions and changes-since; what it held is free again."""
    await session.execute(delete(Port).where(Port.server_id == action.server_id))
    await session.execute(delete(Generation).where(Generation.server_id == action.server_id))
    return await transitions.end(
        session,
        action.server_id,
        tasks,
        vm_state=VmState.DELETED,
        power_state=PowerState.NOSTATE,
        deleted_at=func.now(),
        terminated_at=func.now(),
    )


async def fail_start(
    session: AsyncSession, action: Action, tasks: Collection[TaskState], message: str
) -> bool:
    """The server could not be started: it is still off, and `fault` says why."""
    return await transitions.end(
        session,
        action.server_id,
        tasks,
        vm_state=VmState.STOPPED,
        fault=actions.fault_of(message),
    )


async def fail_power(
    session: AsyncSession, action: Action, tasks: Collection[TaskState], message: str
) -> bool:
    """The agent could not do it, and what runs now is not sure: ERROR, from where delete and hard reboot go
    on.
    """
    return await transitions.end(
        session, action.server_id, tasks, vm_state=VmState.ERROR, fault=actions.fault_of(message)
    )


async def note_end(session: AsyncSession, server_id: str, reason: str, *, crashed: bool) -> None:
    """A guest ended that nobody had asked to end: SHUTOFF, as Nova's power sync does, and why in `fault`.
    A server whose resize is to be confirmed or reverted stays so.

    A guest that powered itself off has done nothing wrong, so only a crash changes the fault. Where a task is
    under way, its action decides what becomes of the server.
    """
    values: dict[str, Any] = {"power_state": PowerState.SHUTDOWN}
    if crashed:
        values = {"power_state": PowerState.CRASHED, "fault": actions.fault_of(reason)}
    resized = Server.vm_state == VmState.RESIZED
    await session.execute(
        update(Server)
        .where(
            Server.id == server_id,
            or_(Server.vm_state == VmState.ACTIVE, resized & Server.power_state.in_(ON)),
            Server.task_state.is_(None),
        )
        .values(
            vm_state=case((resized, VmState.RESIZED), else_=VmState.STOPPED),
            updated_at=func.now(),
            **values,
        )
    )


async def paused_servers(session: AsyncSession, host: str) -> list[str]:
    """Ids of the servers whose rows say that their guests are stopped in the middle."""
    rows = await session.scalars(
        select(Server.id).where(Server.host == host, Server.power_state == PowerState.PAUSED)
    )
    return list(rows)


async def note_stall(session: AsyncSession, server_id: str, reason: str) -> bool:
    """The guest stands still since its host can't write for it: the server is ACTIVE and paused, and `fault`
    says why. Where a task is under way, its action decides what is said of the server.

    False where that is said already, or is not to be.
    """
    noted = await session.scalar(
        update(Server)
        .where(Server.id == server_id, Server.task_state.is_(None), Server.power_state == PowerState.RUNNING)
        .values(power_state=PowerState.PAUSED, fault=actions.fault_of(reason), updated_at=func.now())
        .returning(Server.id)
    )
    return noted is not None


async def note_going_on(session: AsyncSession, server_id: str) -> None:
    """The guest runs again, and nothing is to be said of the stall any more."""
    await session.execute(
        update(Server)
        .where(Server.id == server_id, Server.task_state.is_(None), Server.power_state == PowerState.PAUSED)
        .values(power_state=PowerState.RUNNING, fault=null(), updated_at=func.now())
    )
