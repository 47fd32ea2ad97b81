"""A rebuild, failed and killed at every step: real database and files, a hypervisor that obeys its test."""

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import procrastinate
import pytest
from sqlalchemy import select, update

from renova import conf as options
from renova.agent import operations
from renova.agent.engine import Deed, Operation
from renova.agent.images import ImageCache
from renova.agent.qemu.fake import Behaviour, FakeHypervisor, FakeMachine
from renova.agent.qemu.spec import MachineSpec
from renova.agent.work import Tools, Work
from renova.agent.worker import Worker
from renova.clients.glance import Image
from renova.compute import servers
from renova.compute.caller import Caller
from renova.compute.create import NewServer, create_servers
from renova.compute.power import begin_delete, begin_reboot
from renova.compute.quotas import Limits
from renova.compute.rebuild import Rebuild, begin_rebuild
from renova.db.session import Sessions
from renova.db.tables import Action, Event, Flavor, Generation, Port, Server, Service
from tests import sample_images
from tests.fake_glance import FakeGlance

OLD, NEW, NEWER = (str(uuid4()) for _ in range(3))
STEPS = [step.name for step in operations.OPERATIONS["rebuild"].steps]


class Killed(BaseException):
    """kill -9: nothing that would run at an orderly end runs."""


class World:
    """One host with one server on it, and the owner who asks for things."""

    def __init__(self, home: Path, sessions: Sessions, jobs: procrastinate.App) -> None:
        self.sessions, self.jobs = sessions, jobs
        self.behaviour = Behaviour(agent_delay=0)
        self.behaviour_of: dict[int, Behaviour] = {}
        self.glance = FakeGlance()
        self.hypervisor = FakeHypervisor(self._behave)
        self.conf = options.load([])
        for name, value in {"host": "host1", "state_path": str(home), "run_path": str(home)}.items():
            self.conf.set_override(name, value)
        self.conf.set_override("settle", 0, "rebuild")
        self.conf.set_override("shutdown_timeout", 1, "compute")
        self.images = home / "images"
        self.server_id = ""
        for image_id in (OLD, NEW, NEWER):
            self.glance.add(image_id, sample_images.qcow2() + image_id.encode(), hw_qemu_guest_agent="yes")

    def _behave(self, spec: MachineSpec) -> Behaviour:
        return self.behaviour_of.get(spec.generation, self.behaviour)

    async def agent(self) -> Worker:
        """An agent that has just started."""
        cache = ImageCache(self.images, "host1", self.sessions, self.glance.client)
        await cache.clean()
        return Worker(Tools(self.conf, self.sessions, self.hypervisor, cache))

    async def image(self, image_id: str) -> Image:
        return await self.glance.client.get_image(image_id, "token-of-the-caller")

    def caller(self) -> Caller:
        return Caller("user", "project", frozenset({"member"}), False, f"req-{uuid4()}")

    async def create(self) -> None:
        now = datetime.now(UTC)
        async with self.sessions.begin() as session:
            session.add(
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
            new = NewServer(
                name="before", image=await self.image(OLD), flavor=flavor, metadata={"role": "old"}
            )
            (server,) = await create_servers(session, self.jobs, Limits.of(self.conf), self.caller(), new)
            self.server_id = server.id
        await self.work()

    async def ask_rebuild(self, image_id: str = NEW) -> None:
        wanted = Rebuild(image=await self.image(image_id), name="after", metadata={"role": "new"})
        async with self.sessions.begin() as session:
            server = await servers.find_server(session, self.server_id, self.caller())
            await begin_rebuild(session, self.jobs, self.caller(), server, wanted, "noa")

    async def ask_reboot(self, *, hard: bool) -> None:
        async with self.sessions.begin() as session:
            server = await servers.find_server(session, self.server_id, self.caller())
            await begin_reboot(session, self.jobs, self.caller(), server, hard=hard)

    async def work(self) -> None:
        """A fresh agent carries on whatever is open, to its end."""
        worker = await self.agent()
        await asyncio.wait_for(asyncio.gather(*await worker.sweep()), 30)

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
        assert (server.generation, server.progress) == (2, 100)
        running = self.running()
        assert running is not None
        assert running[0] == 2
        assert self.files() == ["config-1.iso", "config-2.iso", "root-1.qcow2", "root-2.qcow2"]
        assert await self.generations() == [1, 2]


@pytest.fixture
async def world(tmp_path: Path, sessions: Sessions, jobs: procrastinate.App) -> World:
    world = World(tmp_path, sessions, jobs)
    await world.create()
    return world


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


async def test_a_rebuild_keeps_the_identity_and_the_generation_before(world: World) -> None:
    async with world.sessions() as session:
        ports = [(p.mac, p.address) for p in await session.scalars(select(Port))]
    await world.ask_rebuild()
    server = await world.server()
    assert (server.task_state, server.progress, server.name) == ("rebuilding", 1, "after")
    await world.work()
    await world.assert_new()
    async with world.sessions() as session:
        assert [(p.mac, p.address) for p in await session.scalars(select(Port))] == ports
        events = list(await session.scalars(select(Event).join(Action).where(Action.action == "rebuild")))
    assert [event.name for event in events] == STEPS
    assert {event.result for event in events} == {"Success"}


async def test_one_previous_generation_at_most(world: World) -> None:
    await world.ask_rebuild()
    await world.work()
    await world.ask_rebuild(NEWER)
    await world.work()
    assert (await world.server()).generation == 3
    assert await world.generations() == [2, 3]
    assert world.files() == ["config-2.iso", "config-3.iso", "root-2.qcow2", "root-3.qcow2"]


@pytest.mark.parametrize("moment", [before, after], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_failure_at_any_step_leaves_the_old_system(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, moment: Callable[[BaseException], Wrap]
) -> None:
    was = world.running()
    monkeypatch.setitem(
        operations.OPERATIONS,
        "rebuild",
        with_step(operations.OPERATIONS["rebuild"], step, moment(ValueError("it broke"))),
    )
    await world.ask_rebuild()
    await world.work()
    await world.assert_old()
    if STEPS.index(step) < STEPS.index("stop_guest"):
        assert world.running() == was, "the old system was not even touched"
    server = await world.server()
    assert server.fault is not None
    assert server.fault["message"] == f"Error: {step}: it broke"
    action = (await world.actions())[-1]
    assert (action.message, action.failed_step) == (f"Error: {step}: it broke", step)
    assert action.finished_at is not None
    # A failed rebuild is no obstacle to the next, whose number is new.
    monkeypatch.undo()
    await world.ask_rebuild()
    await world.work()
    server = await world.server()
    assert (server.generation, server.image_id, server.fault) == (3, NEW, None)


@pytest.mark.parametrize("moment", [before, after], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_an_agent_killed_at_any_step_is_carried_on_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, moment: Callable[[BaseException], Wrap]
) -> None:
    await world.ask_rebuild()
    with monkeypatch.context() as patch:
        broken = with_step(operations.OPERATIONS["rebuild"], step, moment(Killed()))
        patch.setitem(operations.OPERATIONS, "rebuild", broken)
        await die_working(world)
    await world.work()
    await world.assert_new()


@pytest.mark.parametrize("step", [step.name for step in operations.OPERATIONS["rebuild"].steps if step.undo])
async def test_an_agent_killed_while_it_restores_is_carried_on_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    await world.ask_rebuild()
    with monkeypatch.context() as patch:
        failing = with_step(operations.OPERATIONS["rebuild"], "verify_guest", before(ValueError("it broke")))
        steps = [
            dataclasses.replace(each, undo=after(Killed())(each.undo))
            if each.name == step and each.undo
            else each
            for each in failing.steps
        ]
        patch.setitem(operations.OPERATIONS, "rebuild", dataclasses.replace(failing, steps=tuple(steps)))
        await die_working(world)
    await world.work()
    await world.assert_old()


async def die_working(world: World) -> None:
    """An agent takes up what is open and is killed by the step that raises Killed."""
    worker = await world.agent()
    with pytest.raises(Killed):
        await asyncio.wait_for(asyncio.gather(*await worker.sweep()), 30)


async def test_a_new_system_that_does_not_start_gives_way_to_the_old_one(world: World) -> None:
    world.behaviour_of[2] = Behaviour(start_failure="no such machine")
    await world.ask_rebuild()
    await world.work()
    await world.assert_old()
    assert "no such machine" in ((await world.actions())[-1].message or "")


async def test_a_new_system_whose_agent_stays_silent_gives_way_to_the_old_one(world: World) -> None:
    world.conf.set_override("agent_timeout", 1, "rebuild")
    world.behaviour_of[2] = Behaviour(agent_delay=None)
    await world.ask_rebuild()
    await world.work()
    await world.assert_old()
    assert "did not answer within 1 seconds" in ((await world.actions())[-1].message or "")


async def test_a_new_system_that_ends_gives_way_to_the_old_one_at_once(world: World) -> None:
    world.behaviour_of[2] = Behaviour(agent_delay=None)
    await world.ask_rebuild()
    worker = await world.agent()
    (rebuild,) = await worker.sweep()
    async with asyncio.timeout(20):
        machine = await world.machine_of(2)
        machine.end("guest panicked")
        await rebuild
    await world.assert_old()
    assert "guest panicked" in ((await world.actions())[-1].message or "")


async def test_bytes_that_glance_did_not_promise_touch_nothing(world: World) -> None:
    was = world.running()
    await world.ask_rebuild()
    world.glance.data[NEW] = world.glance.data[NEW][:-1] + b"!"
    await world.work()
    await world.assert_old()
    assert world.running() == was
    assert not list(world.images.glob("*.part*"))


async def test_what_the_owner_changed_meanwhile_wins_over_the_restore(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        operations.OPERATIONS,
        "rebuild",
        with_step(operations.OPERATIONS["rebuild"], "verify_guest", before(ValueError("it broke"))),
    )
    await world.ask_rebuild()
    async with world.sessions.begin() as session:
        await session.execute(update(Server).values(name="the owner's own"))
    await world.work()
    server = await world.server()
    assert (server.name, server.image_id, server.meta) == ("the owner's own", OLD, {"role": "old"})


async def test_a_stopped_server_stays_stopped(world: World) -> None:
    machine = world.hypervisor.get(world.server_id)
    assert machine is not None
    await machine.quit()
    async with world.sessions.begin() as session:
        await session.execute(update(Server).values(vm_state="stopped"))
    await world.ask_rebuild()
    await world.work()
    server = await world.server()
    assert (server.vm_state, server.task_state, server.generation, server.image_id) == (
        "stopped",
        None,
        2,
        NEW,
    )
    assert world.running() is None


async def test_a_delete_takes_over_from_a_rebuild_that_waits(world: World) -> None:
    world.behaviour_of[2] = Behaviour(agent_delay=None)
    await world.ask_rebuild()
    worker = await world.agent()
    await worker.sweep()
    async with asyncio.timeout(20):
        await world.machine_of(2)
        async with world.sessions.begin() as session:
            server = await servers.find_server(session, world.server_id, world.caller())
            await begin_delete(session, world.jobs, world.caller(), server)
        await asyncio.gather(*await worker.sweep())
    server = await world.server()
    assert server.deleted_at is not None
    assert (world.running(), world.files(), await world.generations()) == (None, [], [])
    rebuild, delete = (await world.actions())[-2:]
    assert rebuild.message == "Error: another action has taken over."
    assert (delete.action, delete.message) == ("delete", None)


async def test_a_hard_reboot_takes_over_from_a_soft_one(world: World) -> None:
    world.behaviour = Behaviour(power_down_delay=None)
    world.conf.set_override("shutdown_timeout", 60, "compute")
    await world.ask_reboot(hard=True)
    await world.work()
    deaf = world.running()
    worker = await world.agent()
    await world.ask_reboot(hard=False)
    await worker.sweep()
    await world.ask_reboot(hard=True)
    await asyncio.wait_for(asyncio.gather(*await worker.sweep()), 30)
    server = await world.server()
    assert (server.vm_state, server.task_state) == ("active", None)
    running = world.running()
    assert running is not None
    assert running != deaf
