"""The agent's loop: takes up actions of its host, reports that it lives, and notices what happens to its
guests.

A job is only a wake-up call. What is to be done stands in the action's row, so an agent that was killed goes
on with every open action of its host at its next start, and a sweep finds what no job tells of.
"""

import asyncio
import contextlib
import fcntl
import logging
import platform
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

import httpx
import procrastinate
import psycopg
from oslo_config import cfg
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import InterfaceError, OperationalError

from renova import __version__, jobs
from renova.agent import console, previous
from renova.agent.engine import carry_out
from renova.agent.host_keys import LOOK, HostKeys
from renova.agent.images import ImageCache
from renova.agent.networks.choice import choose
from renova.agent.operations import operation_of
from renova.agent.qemu.face import POWERED_OFF, Machine
from renova.agent.qemu.hypervisor import QemuHypervisor
from renova.agent.relief import LOOK_AGAIN, Relief
from renova.agent.space import Space
from renova.agent.work import Interrupted, Tools, Work
from renova.clients.glance import Glance
from renova.clients.keystone import Identity
from renova.compute import actions, power
from renova.compute.hosts import AGENT
from renova.compute.states import VmState
from renova.db.session import make_engine, make_sessions
from renova.db.tables import Action, Server, Service
from renova.errors import RenovaError

log = logging.getLogger(__name__)
T = TypeVar("T")
# Seconds between two sweeps for open actions, two reports, and two tries while the database is away.
SWEEP, REPORT, AWAY = 30, 10, 2
# Seconds after which an outage that goes on is told of again: a log may lie on the disk that is full.
SAY_AGAIN = 60.0


class AgentRuns(RenovaError):
    """Another agent of this host is running on the same state directory."""


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
            await _patiently(partial(self._perform, action_id))
        except Exception:
            # An action stays open until it is closed properly: the next sweep takes it up again.
            log.exception("action %s could not be carried on", action_id)

    async def _perform(self, action_id: str) -> None:
        action = await self._open_action(action_id)
        if action is None:
            return
        operation = operation_of(action)
        if operation.interrupts and (under_way := self._working.get(action.server_id)):
            under_way.interrupted.set()
        async with self._lock(action.server_id):
            action = await self._open_action(action_id)
            if action is None:
                return
            work = self._working[action.server_id] = Work(self._tools, action)
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

    async def _open_action(self, action_id: str) -> Action | None:
        async with self._tools.sessions() as session:
            action = await session.get(Action, action_id)
        return action if action is not None and action.finished_at is None else None

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
        await _patiently(partial(self._note_end, server_id, reason, crashed=crashed))

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


@contextlib.contextmanager
def only_agent(state_path: Path) -> Iterator[None]:
    """Hold the host's lock. Raises AgentRuns: two agents with one identity would do each step at the same
    time.
    """
    state_path.mkdir(parents=True, exist_ok=True)
    with (state_path / "agent.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AgentRuns from None
        yield


async def run(conf: cfg.ConfigOpts) -> None:
    """The agent, until it is cancelled. Its guests stay: the next agent adopts them. Raises AgentRuns."""
    state_path, run_path = Path(conf.state_path), Path(conf.run_path)
    with only_agent(state_path):
        async with contextlib.AsyncExitStack() as stack:
            engine = make_engine(conf.database.connection, pool_size=conf.compute.concurrency + 2)
            stack.push_async_callback(engine.dispose)
            sessions = make_sessions(engine)
            identity = Identity(conf)
            http = await stack.enter_async_context(httpx.AsyncClient(verify=identity.tls()))
            glance = Glance(identity, http)
            images = ImageCache(state_path / "images", conf.host, sessions, glance)
            hypervisor = QemuHypervisor(conf)
            stack.push_async_callback(hypervisor.close)
            space = Space(conf, (partial(previous.drop_expired, conf, sessions), images.evict))
            relief = Relief(conf.host, sessions, hypervisor, space)
            networks = await _patiently(partial(choose, conf, sessions))
            host_keys = HostKeys(hypervisor, state_path)
            worker = Worker(Tools(conf, sessions, hypervisor, images, glance, space, networks))
            stack.push_async_callback(worker.close)
            app = jobs.make_app(conf.database.connection)
            app.task(name=jobs.RUN_ACTION)(worker.wake_up)

            await images.clean()
            hypervisor.on_end = worker.guest_ended
            await hypervisor.adopt()
            await worker.note_all_ended()
            await worker.drop_stalled_jobs()
            await stack.enter_async_context(app.open_async())
            async with asyncio.TaskGroup() as group:
                group.create_task(hypervisor.accelerator())
                socket = run_path / "agent.sock"
                group.create_task(console.serve(hypervisor, host_keys, socket, conf.agent.secret))
                group.create_task(networks.serve())
                group.create_task(_every(LOOK, host_keys.watch))
                group.create_task(_every(REPORT, worker.report))
                group.create_task(_every(SWEEP, worker.sweep))
                group.create_task(_every(SWEEP, worker.drop_expired))
                group.create_task(_every(LOOK_AGAIN, relief.look))
                group.create_task(_listen(app, conf.host))


async def _every(seconds: float, deed: Callable[[], Awaitable[object]]) -> None:
    """Do it now and again and again."""
    while True:
        await _patiently(deed)
        await asyncio.sleep(seconds)


async def _patiently(deed: Callable[[], Awaitable[T]]) -> T:
    """Do it, once more from its beginning whenever the database is away, or its disk is full."""
    said = -SAY_AGAIN
    while True:
        try:
            return await deed()
        except (OperationalError, InterfaceError) as error:
            if time.monotonic() >= said + SAY_AGAIN:
                said = time.monotonic()
                log.warning("The database is away: %s", error.orig)
        await asyncio.sleep(AWAY)


async def _listen(app: procrastinate.App, host: str) -> None:
    """Take jobs as they come (LISTEN/NOTIFY)."""
    while True:
        try:
            await app.run_worker_async(
                queues=[jobs.queue_of(host)], name=host, delete_jobs="always", install_signal_handlers=False
            )
        except (procrastinate.exceptions.ConnectorException, psycopg.Error) as error:
            log.warning("The job queue is away: %s", error)
        await asyncio.sleep(AWAY)
