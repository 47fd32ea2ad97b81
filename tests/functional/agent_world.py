"""One host, one server on it and its owner: real database and files, guests that obey their test."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import procrastinate
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import selectinload

from renova import conf as options
from renova.agent import operations
from renova.agent.engine import Deed, Operation
from renova.agent.images import ImageCache
from renova.agent.networks.user import UserNetworks
from renova.agent.previous import drop_expired
from renova.agent.qemu.face import Hypervisor
from renova.agent.qemu.fake import Behaviour, FakeHypervisor, FakeMachine
from renova.agent.qemu.spec import MachineSpec
from renova.agent.space import Space
from renova.agent.work import Tools, Work
from renova.agent.worker import Worker
from renova.clients.glance import Image
from renova.compute import servers
from renova.compute.caller import Caller
from renova.compute.create import NewServer, create_servers
from renova.compute.quotas import Limits
from renova.compute.rebuild import Rebuild, begin_rebuild
from renova.db.session import make_sessions, make_single
from renova.db.tables import Action, Flavor, Generation, Port, Server, Service
from tests import sample_images
from tests.fake_glance import FakeGlance

OLD, NEW, NEWER = (str(uuid4()) for _ in range(3))
STEPS = [step.name for step in operations.OPERATIONS["rebuild"].steps]


class Killed(BaseException):
    """kill -9: nothing that would run at an orderly end runs."""


class World:
    """One host with one server on it, and the owner who asks for things."""

    def __init__(self, home: Path, engine: AsyncEngine, jobs: procrastinate.App) -> None:
        self.sessions, self.single, self.jobs = make_sessions(engine), make_single(engine), jobs
        self.behaviour = Behaviour(agent_delay=0)
        self.behaviour_of: dict[int, Behaviour] = {}
        self.glance = FakeGlance()
        self.hypervisor = FakeHypervisor(self._behave)
        self.agents_hypervisor: Hypervisor = self.hypervisor
        self.conf = options.load([])
        for name, value in {"host": "host1", "state_path": str(home), "run_path": str(home)}.items():
            self.conf.set_override(name, value)
        self.conf.set_override("settle", 0, "rebuild")
        self.conf.set_override("reserve_mb", 0, "agent")
        self.conf.set_override("shutdown_timeout", 1, "compute")
        self.images = home / "images"
        self.server_id = ""
        for image_id in (OLD, NEW, NEWER):
            self.glance.add(image_id, sample_images.qcow2() + image_id.encode(), hw_qemu_guest_agent="yes")

    def _behave(self, spec: MachineSpec) -> Behaviour:
        return self.behaviour_of.get(spec.generation, self.behaviour)

    async def tools(self) -> Tools:
        """What an agent that has just started works with."""
        cache = ImageCache(self.images, "host1", self.sessions, self.glance.client)
        await cache.clean()
        space = Space(self.conf, (partial(drop_expired, self.conf, self.sessions), cache.evict))
        networks = UserNetworks(self.conf, self.sessions)
        hypervisor, glance = self.agents_hypervisor, self.glance.client
        return Tools(self.conf, self.sessions, self.single, hypervisor, cache, glance, space, networks)

    async def agent(self) -> Worker:
        """An agent that has just started."""
        worker = Worker(await self.tools())
        self.agents_hypervisor.on_end = worker.guest_ended
        return worker

    async def image(self, image_id: str) -> Image:
        return await self.glance.client.get_image(image_id, "token-of-the-caller")

    def caller(self) -> Caller:
        return Caller("user", "project", frozenset({"member"}), False, f"req-{uuid4()}")

    async def create(self, *, sizes: dict[str, int] | None = None, **wishes: Any) -> None:
        """A new server, which all that follows is about: of the smallest flavor, but for these sizes."""
        now = datetime.now(UTC)
        async with self.sessions.begin() as session:
            await session.merge(
                Service(
                    host="host1",
                    binary="renova-agent",
                    version="0",
                    address="unix:/nowhere",
                    architecture="x86_64",
                    started_at=now,
                    seen_at=now,
                )
            )
            await session.flush()
            flavor = (await session.scalars(select(Flavor).order_by(Flavor.ram).limit(1))).one()
            for size, value in (sizes or {}).items():
                setattr(flavor, size, value)
            image = await self.image(OLD)
            new = NewServer(name="before", image=image, flavor=flavor, metadata={"role": "old"}, **wishes)
            (server,) = await create_servers(session, self.jobs, Limits.of(self.conf), self.caller(), new)
            self.server_id = server.id
        await self.work()

    async def ask_rebuild(
        self,
        image_id: str = NEW,
        *,
        on_failure: str = "restore",
        profile: str = "noa",
        **wishes: Any,
    ) -> None:
        wanted = Rebuild(
            image=await self.image(image_id),
            name="after",
            hostname="after.example.org",
            metadata={"role": "new"},
            **wishes,
        )
        async with self.sessions.begin() as session:
            server = await servers.find_server(session, self.server_id, self.caller())
            await begin_rebuild(session, self.jobs, self.caller(), server, wanted, profile, on_failure)

    async def ask(self, begin: Callable[..., Awaitable[None]], **how: object) -> None:
        """Stop, reboot, delete: the request's transaction."""
        async with self.sessions.begin() as session:
            server = await servers.find_server(session, self.server_id, self.caller())
            await begin(session, self.jobs, self.caller(), server, **how)

    async def work(self) -> None:
        """A fresh agent carries on whatever is open, to its end."""
        worker = await self.agent()
        await asyncio.wait_for(asyncio.gather(*await worker.sweep()), 30)
        machine = self.hypervisor.get(self.server_id)
        if machine is not None and machine.has_old_disks:
            # What has taken over ends QEMU.
            assert (await self.server()).task_state is not None, "a removed disk would take its space on"

    async def server(self) -> Server:
        async with self.sessions() as session:
            return (await session.scalars(select(Server).where(Server.id == self.server_id))).one()

    async def actions(self) -> list[Action]:
        async with self.sessions() as session:
            return list(await session.scalars(select(Action).order_by(Action.started_at)))

    async def generations(self) -> list[int]:
        async with self.sessions() as session:
            return sorted(await session.scalars(select(Generation.number)))

    def files(self) -> list[str]:
        directory = Path(self.conf.state_path) / "servers" / self.server_id
        return sorted(path.name for path in directory.iterdir()) if directory.exists() else []

    def running(self) -> tuple[int, int] | None:
        """Generation and pid of what runs."""
        machine = self.hypervisor.get(self.server_id)
        return None if machine is None or machine.ended.done() else (machine.spec.generation, machine.pid)

    async def until(self, **columns: object) -> Server:
        """The server's row, as soon as it says so."""
        while True:
            server = await self.server()
            if all(getattr(server, name) == value for name, value in columns.items()):
                return server
            await asyncio.sleep(0.01)

    async def machine_of(self, generation: int) -> FakeMachine:
        """The machine of a generation, as soon as it runs."""
        while True:
            machine = self.hypervisor.get(self.server_id)
            if machine is not None and machine.spec.generation == generation:
                return machine
            await asyncio.sleep(0.01)

    async def assert_old(self) -> None:
        server = await self.server()
        assert (server.vm_state, server.task_state) == ("active", None)
        assert (server.name, server.image_id, server.meta) == ("before", OLD, {"role": "old"})
        assert server.hostname == "before"
        assert server.generation == 1
        running = self.running()
        assert running is not None
        assert running[0] == 1
        assert self.files() == ["config-1.iso", "root-1.qcow2"]
        assert await self.generations() == [1]

    async def assert_new(self) -> None:
        server = await self.server()
        assert (server.vm_state, server.task_state, server.fault) == ("active", None, None)
        assert (server.name, server.image_id, server.meta) == ("after", NEW, {"role": "new"})
        assert server.hostname == "after.example.org"
        assert (server.generation, server.progress) == (2, 100)
        running = self.running()
        assert running is not None
        assert running[0] == 2
        assert self.files() == ["config-1.iso", "config-2.iso", "root-1.qcow2", "root-2.qcow2"]
        assert await self.generations() == [1, 2]


async def with_ports(world: World, server_id: str) -> Server:
    """The row as it is now, with ports and networks."""
    async with world.sessions() as session:
        ports = selectinload(Server.ports).selectinload(Port.network)
        return (await session.scalars(select(Server).where(Server.id == server_id).options(ports))).one()


Wrap = Callable[[Deed], Deed]


def before(error: BaseException) -> Wrap:
    def wrap(_: Deed) -> Deed:
        async def deed(_: Work) -> None:
            raise error

        return deed

    return wrap


def after(error: BaseException) -> Wrap:
    def wrap(do: Deed) -> Deed:
        async def deed(work: Work) -> None:
            await do(work)
            raise error

        return deed

    return wrap


def with_step(operation: Operation, name: str, wrap: Wrap) -> Operation:
    steps = [
        dataclasses.replace(step, do=wrap(step.do)) if step.name == name else step for step in operation.steps
    ]
    return dataclasses.replace(operation, steps=tuple(steps))


def with_undo(operation: Operation, name: str, wrap: Wrap) -> Operation:
    steps = [
        dataclasses.replace(step, undo=wrap(step.undo)) if step.name == name and step.undo else step
        for step in operation.steps
    ]
    return dataclasses.replace(operation, steps=tuple(steps))


async def die_working(world: World) -> None:
    """An agent takes up what is open and is killed by the step that raises Killed."""
    worker = await world.agent()
    with pytest.raises(Killed):
        await asyncio.wait_for(asyncio.gather(*await worker.sweep()), 30)
