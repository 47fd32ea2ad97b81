"""What an agent writes down of an action as it goes on: the steps that begin and end, and the marks.

Each change is one statement or part of the transaction that ends the action. They are written many times for
each action, so the statements are made once, and on the tables alone: to make one costs more than to run it,
and so does the ORM's look for objects that it may have changed.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Integer, Text, any_, bindparam, exists, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from renova.compute.states import TaskState
from renova.db.statements import Statement
from renova.db.tables import Action, Event, Server

_servers, _actions, _events = Server.__table__, Action.__table__, Event.__table__
# None of the values is named as a column, or SQLAlchemy would write it there.
_this = bindparam("this", type_=Text)
_note = update(_actions).where(_actions.c.id == _this).values(updated_at=func.now())
_end_step = (
    update(_events)
    .where(_events.c.action_id == _this, _events.c.name == bindparam("ended"))
    .values(
        finished_at=func.now(),
        result=bindparam("how"),
        details=bindparam("told"),
        traceback=bindparam("trace"),
    )
)
_goes_on = (
    update(_servers)
    .where(
        _servers.c.id == bindparam("of_server"),
        _servers.c.task_state == any_(bindparam("tasks", type_=ARRAY(Text))),
    )
    .values(progress=func.greatest(_servers.c.progress, bindparam("percent", type_=Integer)))
    .returning(_servers.c.id)
    .cte("goes_on")
)
_begun = select(_this, bindparam("begun", type_=Text), bindparam("on_host", type_=Text))
_begin_step = (
    insert(_events)
    .from_select(["action_id", "name", "host"], _begun.select_from(_goes_on))
    .on_conflict_do_update(
        index_elements=["action_id", "name"],
        set_={"finished_at": None, "result": None, "details": None, "traceback": None},
    )
)
_NEXT_STEP = Statement(
    select(_goes_on.c.id).add_cte(
        _end_step.cte("end_step"),
        _begin_step.cte("begin_step"),
        _note.where(exists().select_from(_goes_on)).cte("note"),
    )
)
_END_STEP = Statement(_end_step)
_MARK_FAILED = Statement(
    _note.values(failed_step=bindparam("ended"), message=bindparam("why")).add_cte(_end_step.cte("end_step"))
)
_MARK_SETTLED = Statement(
    _note.values(settled_at=func.now(), message=bindparam("why")).add_cte(_end_step.cte("end_step"))
)
_FINISH = Statement(
    _note.values(finished_at=func.now(), message=bindparam("why")).add_cte(
        update(_events)
        .where(_events.c.action_id == _this, _events.c.finished_at.is_(None))
        .values(finished_at=func.now(), result="Error", details=bindparam("why"))
        .cte("end_steps")
    )
)


@dataclass(frozen=True)
class Ended:
    """A step that has come to its end, which is written together with what follows it. `error` is what went
    wrong, in words for the server's owner; `remark` tells something of a step that went well.
    """

    name: str | None
    error: str | None = None
    trace: str | None = None
    remark: str | None = None

    def values(self) -> dict[str, Any]:
        how = "Error" if self.error else "Success"
        return {"ended": self.name, "how": how, "told": self.error or self.remark, "trace": self.trace}


NOTHING = Ended(None)
"""Before the first step."""


async def begun_steps(session: AsyncSession, action: Action) -> set[str]:
    """Names of the steps that have ever begun: those that are to be undone. Hence it is committed, on disk,
    that a step begins before it does anything.
    """
    return set(await session.scalars(select(Event.name).where(Event.action_id == action.id)))


async def next_step(
    session: AsyncSession, action: Action, tasks: Collection[TaskState], ended: Ended, name: str, percent: int
) -> bool:
    """Between two steps: how the one before ended, that the server's progress is at least `percent`, and that
    the step `name` begins. One that begins again, after its agent was killed, keeps its first start.

    False where the server is in none of `tasks`: another action has taken it over. Then nothing begins.
    """
    values = {
        "this": action.id,
        "of_server": action.server_id,
        "on_host": action.host,
        "tasks": list(tasks),
        "percent": percent,
        "begun": name,
    }
    return await _NEXT_STEP.row(session, values | ended.values()) is not None


async def end_step(session: AsyncSession, action: Action, ended: Ended) -> None:
    """The last step has come to its end, and nothing follows it."""
    await _END_STEP.run(session, {"this": action.id} | ended.values())


async def mark_failed(session: AsyncSession, action: Action, ended: Ended, message: str) -> None:
    """This step has failed. From here the action only goes backwards, also after its agent was killed."""
    action.failed_step, action.message = ended.name, message
    await _MARK_FAILED.run(session, {"this": action.id, "why": message} | ended.values())


async def mark_settled(session: AsyncSession, action: Action, ended: Ended, message: str | None) -> None:
    """The last step has come to its end, and the server's row says how the action ended. Only tidying is
    left, and nothing can fail the action any more.
    """
    action.settled_at, action.message = datetime.now(UTC), message
    await _MARK_SETTLED.run(session, {"this": action.id, "why": message} | ended.values())


async def finish_action(session: AsyncSession, action: Action, message: str | None) -> None:
    """Close the action. A message says what went wrong; Nova shows the bare word `Error` there.

    A step that was begun and then given up, by this agent or by one that was killed, ends with it.
    """
    action.finished_at, action.message = datetime.now(UTC), message
    await _FINISH.run(session, {"this": action.id, "why": message})
