"""What an agent does: takes up actions of its host, reports that it lives, and notices what happens to its
guests.

A job is only a wake-up call. What is to be done stands in the action's row, so an agent that was killed goes
on with every open action of its host at its next start, and a sweep finds what no job tells of.
"""

import asyncio
import contextlib
import logging
import platform
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from weakref import WeakValueDictionary

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from renova import __version__, jobs
from renova.agent import previous
from renova.agent.engine import carry_out
from renova.agent.operations import operation_of
from renova.agent.patience import patiently
from renova.agent.qemu.face import POWERED_OFF, Machine
from renova.agent.work import Interrupted, Tools, Work
from renova.compute import actions, power
from renova.compute.hosts import AGENT
from renova.compute.states import VmState
from renova.db.tables import Server, Service

log = logging.getLogger(__name__)


class Worker:
    """The actions of one host. Those of one server run one after the other, an interrupting one as soon as
    it can.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._host: str = tools.conf.host
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._working: dict[str, Work] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._places = asyncio.Semaphore(tools.conf.compute.concurrency)
        self._noting: set[asyncio.Task[None]] = set()
        self._started_at = datetime.now(UTC)

    # --- actions

    async def wake_up(self, action_id: str) -> None:
        """The job: its end is not the action's end, and losing it loses nothing."""
        self.take_up(action_id)

    def take_up(self, action_id: str) -> asyncio.Task[None]:
        """Begin or go on with an action, unless it is under way already. The task ends with the action."""
        if action_id not in self._tasks:
            task = asyncio.create_task(self._until_closed(action_id), name=f"action {action_id}")
            self._tasks[action_id] = task
            task.add_done_callback(lambda _: self._tasks.pop(action_id, None))
        return self._tasks[action_id]

    async def _until_closed(self, action_id: str) -> None:
        try:
            await patiently(partial(self._perform, action_id))
        except Exception:
            # An action stays open until it is closed properly: the next sweep takes it up again.
            log.exception("action %s could not be carried on", action_id)

    async def _perform(self, action_id: str) -> None:
        work = await self._open_work(action_id)
        if work is None:
            return
        action, operation = work.action, operation_of(work.action)
        if operation.interrupts and (under_way := self._working.get(action.server_id)):
            under_way.interrupted.set()
        lock = self._lock(action.server_id)
        waits = lock.locked()
        async with lock:
            # While it waited for another action, that one may have changed or ended it.
            if waits and (work := await self._open_work(action_id)) is None:
                return
            action, self._working[action.server_id] = work.action, work
            log.info("action %s: %s of server %s", action.id, action.action, action.server_id)
            try:
                async with self._place(work) if operation.heavy else contextlib.nullcontext():
                    await carry_out(work, operation)
            finally:
                del self._working[action.server_id]
            await self._note_if_ended(action.server_id)
        log.info("action %s: %s has ended: %s", action.id, action.action, action.message or "Success")

    def _lock(self, server_id: str) -> asyncio.Lock:
        """What makes the actions of one server take turns; it goes with the last who holds or awaits it."""
        return self._locks.setdefault(server_id, asyncio.Lock())

    @contextlib.asynccontextmanager
    async def _place(self, work: Work) -> AsyncIterator[None]:
        """One of the [compute] concurrency places. Who is interrupted while waiting needs none to end."""
        try:
            await work.unless_interrupted(self._places.acquire())
        except Interrupted:
            yield
            return
        try:
            yield
        finally:
            self._places.release()

    async def _open_work(self, action_id: str) -> Work | None:
        work = await Work.of(self._tools, action_id)
        return work if work is not None and work.action.finished_at is None else None

    async def sweep(self) -> list[asyncio.Task[None]]:
        """Take up every open action of this host."""
        async with self._tools.sessions() as session:
            return [self.take_up(action_id) for action_id in await actions.open_actions(session, self._host)]

    async def drop_expired(self) -> None:
        """Free the disks that are not kept for an undo any more."""
        await previous.drop_expired(self._tools.conf, self._tools.sessions)

    # --- guests that end by themselves

    def guest_ended(self, server_id: str, _: Machine, reason: str) -> None:
        """Called by the hypervisor, milliseconds after a guest ended that nobody had asked to end."""
        log.warning("server %s: %s", server_id, reason)
        task = asyncio.create_task(self._after_end(server_id))
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def _after_end(self, server_id: str) -> None:
        if server_id in self._working:
            return  # The action that is under way sees it, and looks again at its end.
        async with self._lock(server_id):
            await self._note_if_ended(server_id)

    async def _note_if_ended(self, server_id: str) -> None:
        """Where a server should run and does not, its row says so and why, as soon as there is a database."""
        machine = self._tools.hypervisor.get(server_id)
        if machine is not None and not machine.ended.done():
            return
        reason, crashed = "The server was not running when the agent started.", True
        if machine is not None:
            reason = machine.ended.result()
            crashed = reason != POWERED_OFF
            await machine.quit()
        await patiently(partial(self._note_end, server_id, reason, crashed=crashed))

    async def _note_end(self, server_id: str, reason: str, *, crashed: bool) -> None:
        async with self._tools.sessions.begin() as session:
            await power.note_end(session, server_id, reason, crashed=crashed)

    async def drop_stalled_jobs(self) -> None:
        """At the start: what is being done in our queue was being done by a dead agent. The sweep knows its
        actions.
        """
        async with self._tools.sessions.begin() as session:
            await session.execute(
                text("DELETE FROM procrastinate_jobs WHERE queue_name = :queue AND status = 'doing'"),
                {"queue": jobs.queue_of(self._host)},
            )

    async def note_all_ended(self) -> None:
        """At the start: servers that were running, and are not any more (the host was rebooted)."""
        async with self._tools.sessions() as session:
            active = await session.scalars(
                select(Server.id).where(
                    Server.host == self._host,
                    Server.vm_state.in_((VmState.ACTIVE, VmState.RESIZED)),
                    Server.task_state.is_(None),
                    Server.deleted_at.is_(None),
                )
            )
        for server_id in active:
            await self._note_if_ended(server_id)

    # --- the host

    async def close(self) -> None:
        """Let go of every action: it stays open, and the next agent goes on with it."""
        tasks = [*self._tasks.values(), *self._noting]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def report(self) -> None:
        """Tell the API that this host lives, and where its own socket is."""
        row = {
            "version": __version__,
            "address": f"unix:{self._tools.conf.run_path}/agent.sock",
            "architecture": platform.machine(),
            "started_at": self._started_at,
            "seen_at": datetime.now(UTC),
        }
        statement = insert(Service).values(host=self._host, binary=AGENT, **row)
        async with self._tools.sessions.begin() as session:
            await session.execute(
                statement.on_conflict_do_update(index_elements=["host", "binary"], set_=row)
            )
