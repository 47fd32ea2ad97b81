"""Beginning an action: the compare-and-set that is the lock of a server.

Two requests that race are decided by PostgreSQL: one of them finds no row. Nothing is read first and
believed later.
"""

from collections.abc import Collection
from functools import cache, partial
from typing import Any

from sqlalchemy import Row, bindparam, func, inspect, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.sql.dml import ReturningUpdate

from renova.compute.caller import Caller
from renova.compute.states import TaskState, Transition
from renova.db.tables import Server
from renova.errors import RenovaError, ServerBusy, ServerLocked, ServerNotFound

COLUMNS = tuple(attribute.key for attribute in inspect(Server).column_attrs)
_VALUES = tuple(getattr(Server, column) for column in COLUMNS)
# Made once, which costs as much time as to run it.
_ROW = select(*_VALUES).where(Server.id == bindparam("id"))
_LOCKED_ROW = _ROW.with_for_update()
_servers = Server.__table__


async def lock(session: AsyncSession, server: Server) -> None:
    """Wait for whoever is changing the row, and read it again."""
    _take(server, (await session.execute(_LOCKED_ROW, {"id": server.id})).one())


def _take(server: Server, row: Row[Any]) -> None:
    """What PostgreSQL says that the row holds: the ORM is not to guess it."""
    for column, value in zip(COLUMNS, row, strict=True):
        set_committed_value(server, column, value)


async def begin(
    session: AsyncSession,
    caller: Caller,
    server: Server,
    transition: Transition,
    **values: Any,
) -> None:
    """Set the transition's task_state and `values`, or raise what stands against it and change nothing.

    `fault` tells of the last action until the next one begins, so it is cleared here.

    Raises ServerNotFound (deleted meanwhile), ServerLocked, ServerBusy (wrong state, or a task is under way).
    """
    statement = _claim(transition, over_lock=caller.is_admin or not transition.heeds_lock).values(values)
    begun = (await session.execute(statement, {"server": server.id})).one_or_none()
    if begun is None:
        _take(server, (await session.execute(_ROW, {"id": server.id})).one())
        check(caller, server, transition)
        # What stood against it is gone again: a client that asks once more will have it.
        raise ServerBusy(server.id, transition.nova_name, "task_state", None)
    _take(server, begun)


@cache
def _claim(transition: Transition, *, over_lock: bool) -> ReturningUpdate[Any]:
    """The compare-and-set of a transition."""
    statement = (
        update(Server)
        .where(
            Server.id == bindparam("server"),
            Server.deleted_at.is_(None),
            Server.vm_state.in_(transition.sources),
            or_(Server.task_state.is_(None), Server.task_state.in_(transition.interrupts)),
            true() if over_lock else Server.locked_by.is_(None),
            Server.launched_at.is_not(None) if transition.must_have_run else true(),
        )
        .values(task_state=transition.task_state, fault=None, updated_at=func.now())
        .returning(*_VALUES)
    )
    return statement.execution_options(synchronize_session=False)


def check(caller: Caller, server: Server, transition: Transition) -> None:
    """Raise what `begin` would, by the row as it was read: early and cheap, while only `begin` decides."""
    for reason in reasons_against(caller, server, transition):
        raise reason


def reasons_against(caller: Caller, server: Server, transition: Transition) -> list[RenovaError]:
    """Everything that stands against it now, in the order in which Nova would say it."""
    if server.deleted_at is not None:
        return [ServerNotFound(server.id)]
    busy = partial(ServerBusy, server.id, transition.nova_name)
    reasons: list[RenovaError] = []
    if transition.heeds_lock and server.locked_by is not None and not caller.is_admin:
        reasons.append(ServerLocked(server.id))
    if server.vm_state not in transition.sources:
        reasons.append(busy("vm_state", server.vm_state))
    if server.task_state is not None and server.task_state not in transition.interrupts:
        reasons.append(busy("task_state", server.task_state))
    if transition.must_have_run and server.launched_at is None:
        reasons.append(busy("launched_at", None))
    return reasons


async def end(session: AsyncSession, server_id: str, tasks: Collection[TaskState], **values: Any) -> bool:
    """End a task: set `values` where the server still is in one of `tasks`.

    False when something else (a delete) has taken the server over; then nothing is changed.
    """
    # On the table alone: the ORM would look for objects of the session that the statement has changed.
    statement = (
        update(_servers)
        .where(_servers.c.id == server_id, _servers.c.task_state.in_(tasks))
        .values({"task_state": None, "updated_at": func.now(), **values})
        .returning(_servers.c.id)
    )
    return await session.scalar(statement) is not None
