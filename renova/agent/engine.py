"""How an operation is carried out: forward through its steps, or backward through their undos, and never
half.

There is no checkpoint to believe. After a kill the steps run again from the first one, and each looks at the
world before it acts. What can't be read off the world is durable before it counts: the action's two marks,
`failed_step` and `settled_at` ("failed, so undo" and "verified, so commit"), and the event of each step that
has ever begun, since whatever may have been done has to be undone.
"""

import logging
import traceback
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from renova.agent.work import Interrupted, Work
from renova.compute import action_log
from renova.compute.action_log import NOTHING, Ended
from renova.compute.states import TaskState
from renova.db.session import DATABASE_AWAY
from renova.db.tables import Action

log = logging.getLogger(__name__)
Deed = Callable[[Work], Awaitable[None]]
Tasks = Collection[TaskState]
End = Callable[[AsyncSession, Action, Tasks], Awaitable[bool]]


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
    commit: End
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
    async with work.tools.single() as session:
        await action_log.finish_action(session, work.action, message)


async def _forward(work: Work, operation: Operation) -> None:
    ended = NOTHING
    for step in operation.steps:
        await _begin(work, operation, step.name, ended)
        ended = await _do(work, step.name, step.do)
        if ended.error is not None:
            message = f"Error: {step.name}: {ended.error}"
            async with work.tools.single() as session:
                await action_log.mark_failed(session, work.action, ended, message)
            return
    await _settle(work, operation.commit, operation.tasks, ended, work.message)


async def _backward(work: Work, operation: Operation) -> None:
    """Undo every step that has ever begun: after a kill, more may have been done than what failed now."""
    async with work.tools.single() as session:
        begun = await action_log.begun_steps(session, work.action)
    end, ended = operation.fail, NOTHING
    message = work.action.message or "Error"
    for step in reversed(operation.steps):
        if step.undo is None or step.name not in begun:
            continue
        await _begin(work, operation, f"undo_{step.name}", ended)
        ended = await _do(work, f"undo_{step.name}", step.undo)
        if ended.error is not None:
            # A loud state of its own. Whichever system the server's row names is kept, and may be started.
            log.error("action %s: undo of %s failed: %s", work.action.id, step.name, ended.error)
            end, message = operation.stuck, f"{message}; undo_{step.name}: {ended.error}"
            break

    async def write_end(session: AsyncSession, action: Action, tasks: Tasks) -> bool:
        return await end(session, action, tasks, message)

    await _settle(work, write_end, operation.tasks, ended, message)


async def _begin(work: Work, operation: Operation, name: str, ended: Ended) -> None:
    """Between two steps. Raises Interrupted."""
    async with work.tools.single() as session:
        goes_on = await action_log.next_step(session, work.action, operation.tasks, ended, name, work.percent)
    if not goes_on:
        raise Interrupted


async def _do(work: Work, name: str, deed: Deed) -> Ended:
    error = trace = work.remark = None
    work.percent = 0
    try:
        await deed(work)
    except (*DATABASE_AWAY, Interrupted):
        raise
    except Exception as exception:
        log.exception("action %s (%s): %s failed", work.action.id, work.action.action, name)
        error = str(exception) or type(exception).__name__
        trace = traceback.format_exc()
    return Ended(name, error, trace, work.remark)


async def _settle(work: Work, end: End, tasks: Tasks, ended: Ended, message: str | None) -> None:
    """The last transaction of the steps: the server's row says how it ended. Raises Interrupted."""
    async with work.tools.sessions() as session:
        settled = await end(session, work.action, tasks)
        if settled:
            await action_log.mark_settled(session, work.action, ended, message)
            await session.commit()
    if not settled:
        # Nothing of it stays. The last step has ended all the same.
        async with work.tools.single() as session:
            await action_log.end_step(session, work.action, ended)
        raise Interrupted
