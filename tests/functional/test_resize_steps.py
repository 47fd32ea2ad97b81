"""A resize, its reversal and its confirmation, failed and killed at every step."""

import asyncio
import dataclasses
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from renova.agent import operations
from renova.agent.qemu.fake import Behaviour
from renova.compute import resize
from renova.compute.power import begin_delete, begin_reboot, begin_start, begin_stop
from renova.compute.quotas import Limits
from renova.db.tables import Flavor
from renova.errors import Invalid, QuotaExceeded, ServerBusy
from tests.functional.agent_world import (
    Killed,
    World,
    Wrap,
    after,
    before,
    die_working,
    with_step,
    with_undo,
)

GIB = 1024**3
RESIZE = [step.name for step in operations.OPERATIONS["resize"].steps]
REVERT = [step.name for step in operations.OPERATIONS["revertResize"].steps]
OLD_FILES = ["config-1.iso", "root-1.qcow2"]
NEW_FILES = ["config-2.iso", "root-2.qcow2"]
BOTH = sorted(OLD_FILES + NEW_FILES)


@pytest.fixture
async def larger(world: World) -> Flavor:
    """More of everything than the server has."""
    async with world.sessions.begin() as session:
        flavor = Flavor(id="large", name="large", vcpus=3, ram=1536, disk=7)
        session.add(flavor)
    return flavor


async def ask_resize(world: World, flavor: Flavor) -> None:
    await world.ask(resize.begin_resize, limits=Limits.of(world.conf), flavor=flavor, disk_config=None)


async def ask_revert(world: World) -> None:
    await world.ask(resize.begin_revert, limits=Limits.of(world.conf))


def disk_size(world: World, generation: int) -> int:
    """What the guest of a generation has, in GiB."""
    path = Path(world.conf.state_path) / "servers" / world.server_id / f"root-{generation}.qcow2"
    info = json.loads(subprocess.check_output(["qemu-img", "info", "-U", "--output=json", path]))
    return int(info["virtual-size"]) // GIB


def qemu_io(disk: str, command: str) -> str:
    return subprocess.check_output(["qemu-io", "-c", command, disk], text=True)


async def assert_before(world: World) -> None:
    """The server is as before the resize, and nothing is left of that."""
    server = await world.server()
    assert (server.vm_state, server.task_state, server.generation) == ("active", None, 1)
    assert server.flavor["id"] == "1"
    assert_runs(world, 1, vcpus=1, ram=server.flavor["ram"])
    assert (world.files(), await world.generations()) == (OLD_FILES, [1])


async def assert_resized(world: World) -> None:
    """The server has its new flavor and waits for its owner; the generation before is kept."""
    server = await world.server()
    assert (server.vm_state, server.task_state, server.generation) == ("resized", None, 2)
    assert server.flavor["id"] == "large"
    assert_runs(world, 2, vcpus=3, ram=1536)
    assert (world.files(), await world.generations()) == (BOTH, [1, 2])
    assert disk_size(world, 2) == 7


def assert_runs(world: World, generation: int, *, vcpus: int, ram: int) -> None:
    machine = world.hypervisor.get(world.server_id)
    assert machine is not None
    assert not machine.ended.done()
    assert (machine.spec.generation, machine.spec.vcpus, machine.spec.ram_mib) == (generation, vcpus, ram)


async def test_resized_and_confirmed(world: World, larger: Flavor) -> None:
    await ask_resize(world, larger)
    server = await world.server()
    assert (server.vm_state, server.task_state, server.flavor["id"]) == ("active", "resize_prep", "large")
    await world.work()
    await assert_resized(world)
    assert disk_size(world, 1) == 1, "the disk before is as it was"
    await world.ask(resize.begin_confirm)
    await world.work()
    server = await world.server()
    assert (server.vm_state, server.task_state, server.flavor["id"]) == ("active", None, "large")
    assert_runs(world, 2, vcpus=3, ram=1536)
    assert (world.files(), await world.generations()) == (NEW_FILES, [2])


async def test_resized_and_reverted(world: World, larger: Flavor) -> None:
    await ask_resize(world, larger)
    await world.work()
    await ask_revert(world)
    assert (await world.server()).task_state == "resize_reverting"
    await world.work()
    await assert_before(world)
    await ask_resize(world, larger)
    await world.work()
    assert (await world.server()).generation == 3, "no number is used twice"


async def test_a_larger_disk_and_nothing_else_is_no_new_qemu_on_the_way_back(world: World) -> None:
    async with world.sessions.begin() as session:
        flavor = Flavor(id="deep", name="deep", vcpus=1, ram=(await world.server()).flavor["ram"], disk=7)
        session.add(flavor)
    await ask_resize(world, flavor)
    await world.work()
    was = world.running()
    await ask_revert(world)
    await world.work()
    await assert_before(world)
    assert was is not None
    assert world.running() == (1, was[1])


async def test_what_the_guest_had_written_is_on_the_new_disk(world: World, larger: Flavor) -> None:
    machine = world.hypervisor.get(world.server_id)
    assert machine is not None
    old = machine.spec
    qemu_io(old.root, "write -q -P 0x5a 64k 4k")
    await ask_resize(world, larger)
    await world.work()
    new = (await world.machine_of(2)).spec
    for pattern in ("0x5a 64k", "0 6G"):
        assert "Pattern verification failed" not in qemu_io(new.root, f"read -P {pattern} 4k")


@pytest.mark.parametrize("reverted", [True, False], ids=["reverted", "confirmed"])
async def test_a_server_that_is_off_stays_off(world: World, larger: Flavor, *, reverted: bool) -> None:
    await world.ask(begin_stop)
    await world.work()
    await ask_resize(world, larger)
    await world.work()
    assert (await world.server()).vm_state == "resized"
    await (ask_revert(world) if reverted else world.ask(resize.begin_confirm))
    await world.work()
    server = await world.server()
    assert (server.vm_state, server.power_state, server.fault) == ("stopped", 4, None)
    assert world.running() is None
    await world.ask(begin_start)
    await world.work()
    assert_runs(world, 1 if reverted else 2, vcpus=1 if reverted else 3, ram=server.flavor["ram"])


async def test_a_guest_that_ended_meanwhile_is_shut_off_by_the_confirmation(
    world: World, larger: Flavor
) -> None:
    await ask_resize(world, larger)
    await world.work()
    await world.agent()
    (await world.machine_of(2)).end("guest powered off")
    async with asyncio.timeout(20):
        await world.until(power_state=4, vm_state="resized")
    await world.ask(resize.begin_confirm)
    await world.work()
    assert (await world.server()).vm_state == "stopped"


@pytest.mark.parametrize("moment", [before, after], ids=["before", "after"])
@pytest.mark.parametrize("step", RESIZE)
async def test_a_resize_that_fails_at_any_step_leaves_the_server_as_it_was(
    world: World,
    larger: Flavor,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    moment: Callable[[BaseException], Wrap],
) -> None:
    broken = with_step(operations.OPERATIONS["resize"], step, moment(ValueError("it broke")))
    monkeypatch.setitem(operations.OPERATIONS, "resize", broken)
    await ask_resize(world, larger)
    await world.work()
    await assert_before(world)
    server = await world.server()
    assert server.fault is not None
    assert server.fault["message"] == f"Error: {step}: it broke"


@pytest.mark.parametrize("moment", [before, after], ids=["before", "after"])
@pytest.mark.parametrize("step", RESIZE)
async def test_an_agent_killed_at_any_step_of_a_resize_is_carried_on_by_the_next(
    world: World,
    larger: Flavor,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    moment: Callable[[BaseException], Wrap],
) -> None:
    await ask_resize(world, larger)
    with monkeypatch.context() as patch:
        broken = with_step(operations.OPERATIONS["resize"], step, moment(Killed()))
        patch.setitem(operations.OPERATIONS, "resize", broken)
        await die_working(world)
    await world.work()
    await assert_resized(world)


@pytest.mark.parametrize("step", [step.name for step in operations.OPERATIONS["resize"].steps if step.undo])
async def test_an_agent_killed_while_it_takes_a_resize_back_is_carried_on_by_the_next(
    world: World, larger: Flavor, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    await ask_resize(world, larger)
    with monkeypatch.context() as patch:
        failing = with_step(operations.OPERATIONS["resize"], "verify_guest", before(ValueError("it broke")))
        patch.setitem(operations.OPERATIONS, "resize", with_undo(failing, step, after(Killed())))
        await die_working(world)
    await world.work()
    await assert_before(world)


@pytest.mark.parametrize("moment", [before, after], ids=["before", "after"])
@pytest.mark.parametrize("step", REVERT)
async def test_a_reversal_that_fails_at_any_step_leaves_the_server_resized(
    world: World,
    larger: Flavor,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    moment: Callable[[BaseException], Wrap],
) -> None:
    await ask_resize(world, larger)
    await world.work()
    with monkeypatch.context() as patch:
        broken = with_step(operations.OPERATIONS["revertResize"], step, moment(ValueError("it broke")))
        patch.setitem(operations.OPERATIONS, "revertResize", broken)
        await ask_revert(world)
        await world.work()
    await assert_resized(world)
    # It may be tried again.
    await ask_revert(world)
    await world.work()
    await assert_before(world)


@pytest.mark.parametrize("moment", [before, after], ids=["before", "after"])
@pytest.mark.parametrize("step", REVERT)
async def test_an_agent_killed_at_any_step_of_a_reversal_is_carried_on_by_the_next(
    world: World,
    larger: Flavor,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    moment: Callable[[BaseException], Wrap],
) -> None:
    await ask_resize(world, larger)
    await world.work()
    await ask_revert(world)
    with monkeypatch.context() as patch:
        broken = with_step(operations.OPERATIONS["revertResize"], step, moment(Killed()))
        patch.setitem(operations.OPERATIONS, "revertResize", broken)
        await die_working(world)
    await world.work()
    await assert_before(world)


@pytest.mark.parametrize("name", ["resize", "revertResize", "confirmResize"])
async def test_an_agent_killed_while_it_tidies_removes_what_is_left(
    world: World, larger: Flavor, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    await ask_resize(world, larger)
    if name != "resize":
        await world.work()
        await (ask_revert(world) if name == "revertResize" else world.ask(resize.begin_confirm))
    operation = operations.OPERATIONS[name]
    assert operation.tidy is not None
    with monkeypatch.context() as patch:
        patch.setitem(
            operations.OPERATIONS, name, dataclasses.replace(operation, tidy=before(Killed())(operation.tidy))
        )
        await die_working(world)
    await world.work()
    expected = {"resize": BOTH, "revertResize": OLD_FILES, "confirmResize": NEW_FILES}
    assert world.files() == expected[name]
    assert all(action.finished_at for action in await world.actions())


async def test_a_resized_server_that_does_not_live_has_its_old_flavor_again(
    world: World, larger: Flavor
) -> None:
    world.behaviour_of[2] = Behaviour(start_failure="not enough memory")
    await ask_resize(world, larger)
    await world.work()
    await assert_before(world)


async def test_an_undo_that_fails_ends_in_error_with_the_flavor_of_what_is_the_servers(
    world: World, larger: Flavor, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = with_step(operations.OPERATIONS["resize"], "verify_guest", before(ValueError("it broke")))
    failing = with_undo(failing, "stop_guest", before(ValueError("this too")))
    monkeypatch.setitem(operations.OPERATIONS, "resize", failing)
    await ask_resize(world, larger)
    await world.work()
    server = await world.server()
    assert (server.vm_state, server.generation, server.flavor["id"]) == ("error", 1, "1")
    await world.ask(begin_reboot, hard=True)
    await world.work()
    await assert_before(world)


async def test_what_waits_for_its_owners_word_is_neither_rebuilt_nor_stopped(
    world: World, larger: Flavor
) -> None:
    await ask_resize(world, larger)
    await world.work()
    with pytest.raises(ServerBusy, match=r"Cannot 'rebuild' instance .* while it is in vm_state resized"):
        await world.ask_rebuild()
    with pytest.raises(ServerBusy):
        await world.ask(begin_stop)
    with pytest.raises(ServerBusy):
        await ask_resize(world, larger)
    await world.ask(begin_delete)
    await world.work()
    assert (world.running(), world.files(), await world.generations()) == (None, [], [])


async def test_a_rebuild_after_a_resize_has_the_new_flavor(world: World, larger: Flavor) -> None:
    await ask_resize(world, larger)
    await world.work()
    await world.ask(resize.begin_confirm)
    await world.work()
    await world.ask_rebuild()
    await world.work()
    assert_runs(world, 3, vcpus=3, ram=1536)
    assert (disk_size(world, 3), await world.generations()) == (7, [2, 3])


async def test_a_flavor_beyond_the_quota_is_refused_there_and_back(world: World, larger: Flavor) -> None:
    world.conf.set_override("cores", 2, "quota")
    with pytest.raises(QuotaExceeded, match="Quota exceeded for cores: Requested 2, but already used 1 of 2"):
        await ask_resize(world, larger)
    await assert_before(world)
    world.conf.set_override("cores", 3, "quota")
    await ask_resize(world, larger)
    await world.work()
    await world.ask(resize.begin_confirm)
    await world.work()
    async with world.sessions.begin() as session:
        lean = Flavor(id="lean", name="lean", vcpus=1, ram=1536, disk=7)
        session.add(lean)
    await ask_resize(world, lean)
    await world.work()
    # The cores were given up at once: by the time of the reversal somebody else may have them.
    world.conf.set_override("cores", 2, "quota")
    with pytest.raises(QuotaExceeded):
        await ask_revert(world)
    assert (await world.server()).flavor["id"] == "lean"


@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        ({"id": "1", "disk": 1}, "When resizing, instances must change flavor!"),
        ({"disk": 0}, "Resize to zero disk flavor is not allowed."),
        ({"disk": 6}, f"Flavor disk is {6 * GIB} bytes, the server's is {7 * GIB} bytes."),
    ],
)
async def test_a_flavor_that_the_server_cant_have(
    world: World, larger: Flavor, size: dict[str, int], sentence: str
) -> None:
    if "id" not in size:
        await ask_resize(world, larger)
        await world.work()
        await world.ask(resize.begin_confirm)
        await world.work()
    actions = len(await world.actions())
    flavor = Flavor(**{"id": "other", "name": "other", "vcpus": 1, "ram": 512, "ephemeral": 0} | size)
    with pytest.raises(Invalid, match=re.escape(sentence)):
        await ask_resize(world, flavor)
    assert len(await world.actions()) == actions
