"""Every transition leads from each of its states to one that the table names, through the agent's steps."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import select, update

from renova.compute import power, resize
from renova.compute.quotas import Limits
from renova.compute.states import TRANSITIONS, VmState
from renova.compute.undo import Rules, begin_undo
from renova.db.tables import Flavor, Server
from tests.functional.agent_world import World

Ask = Callable[[World], Awaitable[None]]


def plainly(begin: Callable[..., Awaitable[None]], **how: bool) -> Ask:
    return lambda world: world.ask(begin, **how)


async def ask_resize(world: World) -> None:
    async with world.sessions() as session:
        flavor = await session.get_one(Flavor, "2")
    limits = Limits.of(world.conf)
    await world.ask(resize.begin_resize, limits=limits, flavor=flavor, disk_config=None)


ASK: dict[str, Ask] = {
    "start": plainly(power.begin_start),
    "stop": plainly(power.begin_stop),
    "reboot": plainly(power.begin_reboot, hard=False),
    "reboot_hard": plainly(power.begin_reboot, hard=True),
    "rebuild": lambda world: world.ask_rebuild(),
    "undoRebuild": lambda world: world.ask(begin_undo, rules=Rules.of(world.conf)),
    "resize": ask_resize,
    "confirmResize": plainly(resize.begin_confirm),
    "revertResize": lambda world: world.ask(resize.begin_revert, limits=Limits.of(world.conf)),
    "delete": plainly(power.begin_delete),
}
# An image is made of a server in tests/functional/test_snapshot_steps.py; it needs a Glance that takes it.
CASES = [
    (name, source)
    for name, transition in TRANSITIONS.items()
    if name in ASK
    for source in sorted(transition.sources - {VmState.BUILDING})
]


async def do(world: World, name: str) -> None:
    await ASK[name](world)
    await world.work()


async def bring_to(world: World, state: VmState) -> None:
    if state == VmState.STOPPED:
        await do(world, "stop")
    elif state == VmState.RESIZED:
        await do(world, "resize")
    elif state == VmState.ERROR:
        async with world.sessions.begin() as session:
            await session.execute(update(Server).values(vm_state=VmState.ERROR))


@pytest.mark.parametrize(("name", "source"), CASES)
async def test_a_transition_leads_where_the_table_says(world: World, name: str, source: VmState) -> None:
    if name == "undoRebuild":
        await do(world, "rebuild")
    await bring_to(world, source)
    await do(world, name)
    async with world.sessions() as session:
        server = (await session.scalars(select(Server))).one()
    assert server.vm_state in TRANSITIONS[name].paths[source]
    assert (server.task_state, server.fault) == (None, None)
    runs = server.vm_state in {VmState.ACTIVE, VmState.RESIZED} and source != VmState.STOPPED
    started = name in {"start", "reboot_hard"}
    assert (world.running() is not None) == (runs or started)


def test_every_transition_is_tried_here_or_with_snapshots() -> None:
    assert ASK.keys() | {"createImage"} == TRANSITIONS.keys()
