"""The agent as a program: everything that runs on a host, put together, until it is told to end."""

import asyncio
import contextlib
import fcntl
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import procrastinate
import psycopg
from oslo_config import cfg

from renova import jobs
from renova.agent import console, patience, previous
from renova.agent.host_keys import LOOK, HostKeys
from renova.agent.images import ImageCache
from renova.agent.networks.choice import choose
from renova.agent.patience import every, patiently
from renova.agent.qemu.hypervisor import QemuHypervisor
from renova.agent.relief import LOOK_AGAIN, Relief
from renova.agent.space import Space
from renova.agent.work import Tools
from renova.agent.worker import Worker
from renova.clients.glance import Glance
from renova.clients.keystone import Identity
from renova.db.session import make_engine, make_sessions, make_single
from renova.errors import RenovaError

log = logging.getLogger(__name__)
# Seconds between two sweeps for open actions, and two reports.
SWEEP, REPORT = 30, 10


class AgentRuns(RenovaError):
    """Another agent of this host is running on the same state directory."""


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
            engine = make_engine(conf.database.connection, pool_size=2 * (conf.compute.concurrency + 2))
            stack.push_async_callback(engine.dispose)
            sessions, single = make_sessions(engine), make_single(engine)
            identity = Identity(conf)
            http = await stack.enter_async_context(identity.http())
            glance = Glance(identity, http)
            images = ImageCache(state_path / "images", conf.host, sessions, glance)
            hypervisor = QemuHypervisor(conf)
            stack.push_async_callback(hypervisor.close)
            space = Space(conf, (partial(previous.drop_expired, conf, sessions), images.evict))
            relief = Relief(conf.host, sessions, hypervisor, space)
            networks = await patiently(partial(choose, conf, sessions))
            host_keys = HostKeys(hypervisor, state_path)
            worker = Worker(Tools(conf, sessions, single, hypervisor, images, glance, space, networks))
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
                group.create_task(every(LOOK, host_keys.watch))
                group.create_task(every(REPORT, worker.report))
                group.create_task(every(SWEEP, worker.sweep))
                group.create_task(every(SWEEP, worker.drop_expired))
                group.create_task(every(LOOK_AGAIN, relief.look))
                group.create_task(_listen(app, conf.host))


async def _listen(app: procrastinate.App, host: str) -> None:
    """Take jobs as they come (LISTEN/NOTIFY)."""
    while True:
        try:
            await app.run_worker_async(
                queues=[jobs.queue_of(host)], name=host, delete_jobs="always", install_signal_handlers=False
            )
        except (procrastinate.exceptions.ConnectorException, psycopg.Error) as error:
            log.warning("The job queue is away: %s", error)
        await asyncio.sleep(patience.AWAY)
