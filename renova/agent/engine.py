"""How an operation is carried out: forward through its steps, or backward through their undos, and never
half.

There is no checkpoint to believe. After a kill the steps run again from the first one, and each looks at the
world before it acts; what can't be read off the world are the action's two marks, `failed_step` and
`settled_at` ("failed, so undo" and "verified, so commit").
"""

import logging
import traceback
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from renova.agent.work import Interrupted, Work
from renova.compute import actions
from renova.compute.states import TaskState
from renova.db.tables import Action, Server

log = logging.getLogger(__name__)
Deed = Callable[[Work], Awaitable[None]]
Tasks = Collection[TaskState]


@dataclass(frozen=True)
class Step:
    """`do` makes something so, whatever was before; `undo` makes it as it was, whether or not `do` came to
    its end.
    """

    name: str
    do: Deed
    undo: Deed | None = None


@dataclass(frozen=True)
class Operation:
    """What an action consists of.

    `tasks`: the task_states under which it goes on; any other means that another action has taken over.
    `commit`, `fail`, `stuck`: what the server's row becomes when all steps are done, when all are undone,
    and when an undo failed. Each is given `tasks` and returns False where the server is in none of them.
    `tidy` removes what is not needed any more; it is the last thing that happens, and only after a durable
    mark.
    `give_up` is done where another action has taken over, for what lies beyond the server (which that action
    takes care of).
    `interrupts`: it takes the server over from an action that is under way (the request has decided that it
    may). `heavy`: it fetches, makes disks and waits for a boot, so that a host does only some at once.
    """

    tasks: frozenset[TaskState]
    steps: tuple[Step, ...]
    commit: Callable[[AsyncSession, Action, Tasks], Awaitable[bool]]
    fail: Callable[[AsyncSession, Action, Tasks, str], Awaitable[bool]]
    stuck: Callable[[AsyncSession, Action, Tasks, str], Awaitable[bool]]
    tidy: Deed | None = None
    give_up: Deed | None = None
    interrupts: bool = False
    heavy: bool = False


async def carry_out(work: Work, operation: Operation) -> None:
    """Bring an action to its end. Raises only what is not the action's fault (the database is away): then it
    stays open.
    """
    action = work.action
    try:
        if action.settled_at is None and action.failed_step is None:
            await _forward(work, operation)
        if action.settled_at is None:
            await _backward(work, operation)
    except Interrupted:
        if operation.give_up:
            await operation.give_up(work)
        await _finish(work, "Error: another action has taken over.")
        return
    if operation.tidy:
        await operation.tidy(work)
    await _finish(work, action.message)


async def _finish(work: Work, message: str | None) -> None:
    async with work.tools.sessions.begin() as session:
        await actions.finish_action(session, work.action, message)


async def _forward(work: Work, operation: Operation) -> None:
    for step in operation.steps:
        await _check_not_interrupted(work, operation)
        error = await _run(work, step.name, step.do)
        if error is not None:
            async with work.tools.sessions.begin() as session:
                await actions.mark_failed(session, work.action, step.name, f"Error: {step.name}: {error}")
            return
    async with work.tools.sessions.begin() as session:
        if not await operation.commit(session, work.action, operation.tasks):
            raise Interrupted
        await actions.mark_settled(session, work.action, work.message)


async def _backward(work: Work, operation: Operation) -> None:
    """Undo every step that has ever begun: after a kill, more may have been done than what failed now."""
    async with work.tools.sessions() as session:
        begun = await actions.events_of(session, work.action)
    end = operation.fail
    message = work.action.message or "Error"
    for step in reversed(operation.steps):
        if step.undo is None or step.name not in begun:
            continue
        await _check_not_interrupted(work, operation)
        error = await _run(work, f"undo_{step.name}", step.undo)
        if error is not None:
            # A loud state of its own. Whichever system the server's row names is kept, and may be started.
            log.error("action %s: undo of %s failed: %s", work.action.id, step.name, error)
            end, message = operation.stuck, f"{message}; undo_{step.name}: {error}"
            break
    async with work.tools.sessions.begin() as session:
        if not await end(session, work.action, operation.tasks, message):
            raise Interrupted
        await actions.mark_settled(session, work.action, message)


async def _run(work: Work, name: str, deed: Deed) -> str | None:
    """Run one step between its two events. Returns what went wrong, in words for the server's owner."""
    async with work.tools.sessions.begin() as session:
        await actions.start_event(session, work.action, name)
    error = trace = work.remark = None
    try:
        await deed(work)
    except (OperationalError, InterfaceError, Interrupted):
        raise
    except Exception as exception:
        log.exception("action %s (%s): %s failed", work.action.id, work.action.action, name)
        error = str(exception) or type(exception).__name__
        trace = traceback.format_exc()
    async with work.tools.sessions.begin() as session:
        await actions.finish_event(
            session, work.action, name, error=error, traceback=trace, remark=work.remark
        )
    return error


async def _check_not_interrupted(work: Work, operation: Operation) -> None:
    async with work.tools.sessions() as session:
        task_state = await session.scalar(select(Server.task_state).where(Server.id == work.action.server_id))
    if task_state not in operation.tasks:
        raise Interrupted
