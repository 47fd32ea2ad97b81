"""Beginning an action: the compare-and-set that is the lock of a server.

Two requests that race are decided by PostgreSQL: one of them finds no row. Nothing is read first and
believed later.
"""

from collections.abc import Collection
from functools import cache, partial
from typing import Any

from sqlalchemy import Text, any_, bindparam, func, or_, select, true, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import ReturningUpdate

from renova.compute.caller import Caller
from renova.compute.states import TaskState, Transition
from renova.db.statements import Columns, Statement
from renova.db.tables import Server
from renova.errors import RenovaError, ServerBusy, ServerLocked, ServerNotFound

_columns = Columns(Server)
_row = select(*_columns.all).where(Server.id == bindparam("server"))
_ROW = Statement(_row)
_LOCKED_ROW = Statement(_row.with_for_update())
_servers = Server.__table__


async def lock(session: AsyncSession, server: Server) -> None:
    """Wait for whoever is changing the row, and read it again."""
    await _read(session, server, _LOCKED_ROW)


async def _read(session: AsyncSession, server: Server, statement: Statement) -> None:
    (row,) = await statement.rows(session, {"server": server.id})
    _columns.fill(server, row)


async def begin(
    session: AsyncSession,
    caller: Caller,
    server: Server,
    transition: Transition,
    *,
    makes_generation: bool = False,
    **values: Any,
) -> None:
    """Set the transition's task_state and `values`, or raise what stands against it and change nothing.

    `fault` tells of the last action until the next one begins, so it is cleared here. `makes_generation`
    takes the next number for one, `generations_made`.

    Raises ServerNotFound (deleted meanwhile), ServerLocked, ServerBusy (wrong state, or a task is under way).
    """
    over_lock = caller.is_admin or not transition.heeds_lock
    claim = _claim(transition, frozenset(values), over_lock=over_lock, makes_generation=makes_generation)
    begun = await claim.row(
        session, {"server": server.id} | {_new(column): value for column, value in values.items()}
    )
    if begun is None:
        await _read(session, server, _ROW)
        check(caller, server, transition)
        # What stood against it is gone again: a client that asks once more will have it.
        raise ServerBusy(server.id, transition.nova_name, "task_state", None)
    _columns.fill(server, begun)


@cache
def _claim(
    transition: Transition, columns: frozenset[str], *, over_lock: bool, makes_generation: bool
) -> Statement:
    """The compare-and-set of a transition that sets these columns. Its callers are few, and so are these."""
    values: dict[Any, Any] = {getattr(Server, column): bindparam(_new(column)) for column in columns}
    if makes_generation:
        values[Server.generations_made] = Server.generations_made + 1
    sources, interrupts = sorted(transition.sources), sorted(transition.interrupts)
    return Statement(
        update(Server)
        .where(
            Server.id == bindparam("server"),
            Server.deleted_at.is_(None),
            Server.vm_state == any_(bindparam("sources", sources, ARRAY(Text))),
            or_(
                Server.task_state.is_(None),
                Server.task_state == any_(bindparam("interrupts", interrupts, ARRAY(Text))),
            ),
            true() if over_lock else Server.locked_by.is_(None),
            Server.launched_at.is_not(None) if transition.must_have_run else true(),
        )
        .values(task_state=transition.task_state, fault=None, updated_at=func.now())
        .values(values)
        .returning(*_columns.all)
    )


def _new(column: str) -> str:
    """What a value is called in a statement: by the column's own name SQLAlchemy would set the column."""
    return f"new_{column}"


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
    return await session.scalar(ending(**values), {"server": server_id, "tasks": list(tasks)}) is not None


def ending(**values: Any) -> ReturningUpdate[tuple[str]]:
    """What `end` sends, still to be given `server` and `tasks`; it returns the server's id, or no row."""
    # On the table alone: the ORM would look for objects of the session that the statement has changed.
    return (
        update(_servers)
        .where(
            _servers.c.id == bindparam("server"),
            _servers.c.task_state == any_(bindparam("tasks", type_=ARRAY(Text))),
        )
        .values({"task_state": None, "updated_at": func.now(), **values})
        .returning(_servers.c.id)
    )
