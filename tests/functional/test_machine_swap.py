"""Another generation's disks under a live QEMU, with guests of one sector."""
# ruff: noqa: ASYNC240  Nothing else runs in a test's event loop.

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg

from renova.agent.qemu import Machine, MachineSpec, translated_code
from renova.agent.qemu.face import PANICKED, PAUSED, POWERED_OFF
from renova.agent.qemu.hypervisor import QemuHypervisor
from renova.agent.qemu.machine import QemuMachine
from renova.agent.qemu.monitor import Monitor
from renova.errors import RenovaError
from tests.functional.machines import DEADLINE, MakeSpec, NextHypervisor, ended, until_said
from tests.guest.boot_sector import Then


async def boot(hypervisor: QemuHypervisor, spec: MachineSpec) -> Machine:
    """A machine whose guest has come beyond its firmware."""
    machine = await hypervisor.start(spec)
    await until_said(hypervisor, machine, "the old one")
    return machine


async def ask(hypervisor: QemuHypervisor, server_id: str, command: str, **arguments: object) -> Any:
    """What QEMU itself says."""
    machine = hypervisor.get(server_id)
    assert isinstance(machine, QemuMachine)
    return await machine._monitor.execute(command, arguments)


async def translated(hypervisor: QemuHypervisor, machine: Machine) -> int:
    line = {"command-line": "info jit"}
    return translated_code.size(
        await ask(hypervisor, machine.spec.server_id, "human-monitor-command", **line)
    )


def open_files(pid: int, place: Path) -> list[str]:
    links = (entry.readlink() for entry in Path(f"/proc/{pid}/fd").iterdir())
    # QEMU duplicates what it is given.
    return sorted({link.name for link in links if link.is_relative_to(place)})


def files_of(spec: MachineSpec) -> list[str]:
    assert spec.config_drive
    disks = [Path(path).name for path in (spec.base, spec.root, spec.config_drive)]
    return sorted([*disks, "console.log", "qemu.log"])


@pytest.mark.parametrize("disk_format", ["qcow2", "raw"])
async def test_the_new_system_boots_under_the_same_qemu_and_the_old_one_again(
    hypervisor: QemuHypervisor, make_spec: MakeSpec, place: Path, disk_format: str
) -> None:
    old = make_spec(Then.COUNT, marker="the old one")
    new = make_spec(Then.COUNT, marker="the new one", old=old, disk_format=disk_format)
    pid = (await boot(hypervisor, old)).pid
    for spec, said in ((new, "the new one"), (old, "the old one"), (new, "the new one")):
        machine = await hypervisor.swap(spec)
        assert hypervisor.get(old.server_id) is machine
        assert (machine.pid, machine.spec, machine.ended.done()) == (pid, spec, False)
        told = await until_said(hypervisor, machine, "tick 00001")
        assert told.startswith(f"{said}\r\ntick 00001"), "the console begins again with each system"
        await machine.close_old_disks()
        assert open_files(pid, place) == files_of(spec)


async def test_a_swap_whose_guest_was_never_asked_has_no_trace_of_it(
    hypervisor: QemuHypervisor, make_spec: MakeSpec
) -> None:
    seen = []
    hypervisor.on_end = lambda server_id, machine, reason: seen.append(reason)
    old = make_spec(Then.FLOOD, marker="the old one")
    machine = await boot(hypervisor, old)
    old_end = machine.ended

    machine = await hypervisor.swap(make_spec(marker="the new one", old=old))

    assert old_end.result() == PAUSED
    assert (await until_said(hypervisor, machine, "the new one")).startswith("the new one\r\n")
    assert seen == []


@pytest.mark.parametrize(("does", "reason"), [(Then.POWER_OFF, POWERED_OFF), (Then.PANIC, PANICKED)])
async def test_the_end_of_one_guest_is_not_that_of_the_next(
    hypervisor: QemuHypervisor, make_spec: MakeSpec, does: Then, reason: str
) -> None:
    seen = []
    hypervisor.on_end = lambda server_id, machine, reason: seen.append(reason)
    old = make_spec(does)
    machine = await hypervisor.start(old)
    assert await ended(machine) == reason

    machine = await hypervisor.swap(make_spec(Then.OBEY, marker="well", old=old))

    await until_said(hypervisor, machine, "well")
    assert not machine.ended.done()
    assert not machine.panicked
    assert seen == [reason]
    assert await machine.power_down(DEADLINE)
    machine = await hypervisor.swap(make_spec(does, old=machine.spec))
    assert await ended(machine) == reason
    assert seen == [reason, reason], "the end of a later guest is told too"


async def test_qemu_keeps_no_translated_code_of_the_systems_before(
    hypervisor: QemuHypervisor, make_spec: MakeSpec
) -> None:
    machine = await boot(hypervisor, make_spec(Then.HALT, marker="the old one"))
    one_boot = await translated(hypervisor, machine)
    for number in range(4):
        await hypervisor.swap(make_spec(Then.HALT, marker=f"system {number}", old=machine.spec))
        await until_said(hypervisor, machine, f"system {number}")
    assert one_boot / 2 < await translated(hypervisor, machine) < one_boot * 2
    ports = {port["label"] for port in await ask(hypervisor, machine.spec.server_id, "query-chardev")}
    assert translated_code.DEBUGGER not in ports, "nobody can debug the guest that runs"


async def test_a_qemu_that_keeps_its_translated_code_is_none_to_go_on_with(
    hypervisor: QemuHypervisor, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translated_code, "MUCH", -1)
    machine = await boot(hypervisor, make_spec(marker="the old one"))
    with pytest.raises(RenovaError, match=r"QEMU keeps \d MiB of translated code"):
        await hypervisor.swap(make_spec(old=machine.spec))
    assert hypervisor.running() == []


async def test_a_paused_guest_has_ended_and_makes_room(
    hypervisor: QemuHypervisor, next_hypervisor: NextHypervisor, make_spec: MakeSpec
) -> None:
    machine = await boot(hypervisor, make_spec(Then.COUNT, marker="the old one"))
    await machine.pause()
    assert machine.ended.result() == PAUSED

    await hypervisor.close()
    successor = next_hypervisor()
    (machine,) = await successor.adopt()

    assert await ended(machine) == PAUSED
    machine = await successor.swap(make_spec(marker="the new one", old=machine.spec))
    await until_said(successor, machine, "the new one")


async def test_only_the_root_overlay_can_be_written(hypervisor: QemuHypervisor, make_spec: MakeSpec) -> None:
    old = make_spec(marker="the old one")
    server_id = (await boot(hypervisor, old)).spec.server_id
    await hypervisor.swap(make_spec(marker="the new one", old=old))
    # Both are open still: the one that QEMU was started with, and the one that was added to it.
    nodes = await ask(hypervisor, server_id, "query-named-block-nodes", flat=True)
    writable = [node["node-name"] for node in nodes if not node["ro"] and node["drv"] != "file"]
    assert sorted(writable) == ["root", "root-1", "root-2"]
    assert len([node for node in nodes if not node["ro"] and node["drv"] == "file"]) == 2, "the overlays' own"


async def test_no_file_stays_open_after_a_way_back_from_a_guest_that_stood_still(
    hypervisor: QemuHypervisor, make_spec: MakeSpec
) -> None:
    old = make_spec(marker="the old one")
    server_id = (await boot(hypervisor, old)).spec.server_id
    sets = len(await ask(hypervisor, server_id, "query-fdsets"))
    machine = await hypervisor.swap(make_spec(marker="the new one", old=old))
    await until_said(hypervisor, machine, "the new one")
    await machine.pause()
    await hypervisor.swap(old)
    await machine.close_old_disks()
    assert len(await ask(hypervisor, server_id, "query-fdsets")) == sets


async def test_an_old_disk_that_qemu_keeps_open_is_closed_another_time(
    hypervisor: QemuHypervisor, make_spec: MakeSpec, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = make_spec(marker="the old one")
    new = make_spec(marker="the new one", old=old)
    await boot(hypervisor, old)
    machine = await hypervisor.swap(new)
    user = {"driver": "raw", "node-name": "user", "file": "root-1"}
    await ask(hypervisor, old.server_id, "blockdev-add", **user)
    await machine.close_old_disks()
    assert "old disks stay open" in caplog.text
    await ask(hypervisor, old.server_id, "blockdev-del", **{"node-name": "user"})
    await machine.close_old_disks()
    assert open_files(machine.pid, place) == files_of(new)


async def test_the_disk_has_the_size_of_its_generation(
    hypervisor: QemuHypervisor, make_spec: MakeSpec
) -> None:
    old = make_spec(marker="the old one")
    await boot(hypervisor, old)
    for spec, size in ((make_spec(marker="the new one", old=old, size="24M"), 24), (old, 16)):
        machine = await hypervisor.swap(spec)
        (root,) = [
            device
            for device in await ask(hypervisor, old.server_id, "query-block")
            if "root-disk" in device["qdev"]
        ]
        assert root["inserted"]["image"]["virtual-size"] == size * 1024 * 1024
        await until_said(hypervisor, machine, "one")


async def test_a_swap_that_fails_ends_the_machine(
    hypervisor: QemuHypervisor, conf: cfg.ConfigOpts, make_spec: MakeSpec
) -> None:
    old = make_spec(marker="the old one")
    pid = (await boot(hypervisor, old)).pid
    new = make_spec(marker="the new one", old=old)
    await ask(hypervisor, old.server_id, "blockdev-add", driver="null-co", **{"node-name": "root-2"})

    with pytest.raises(RenovaError, match="Duplicate nodes"):
        await hypervisor.swap(new)

    assert not Path(f"/proc/{pid}").exists()
    assert hypervisor.get(old.server_id) is None
    machine = await hypervisor.start(new)
    await until_said(hypervisor, machine, "the new one")


@pytest.mark.parametrize("milliseconds", range(0, 40, 8))
async def test_a_swap_in_a_firmware_s_first_moments_leaves_no_silent_guest(
    hypervisor: QemuHypervisor, make_spec: MakeSpec, milliseconds: int
) -> None:
    old = make_spec(marker="the old one")
    new = make_spec(marker="the new one", old=old)
    await hypervisor.start(old)
    await asyncio.sleep(milliseconds / 1000)  # Whatever the moment, it must go well.

    try:
        machine = await hypervisor.swap(new)
    except RenovaError:
        machine = await hypervisor.start(new)

    await until_said(hypervisor, machine, "the new one")


PREPARATIONS = ["add-fd", "blockdev-add", "getfd", "chardev-add"]
COMMANDS = ["stop", "blockdev-reopen", "system_reset", "cont", "blockdev-del", "remove-fd"]


@pytest.mark.parametrize("command", [*PREPARATIONS, *COMMANDS])
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
async def test_an_agent_killed_in_a_swap_leaves_what_its_successor_reads_right(
    hypervisor: QemuHypervisor,
    next_hypervisor: NextHypervisor,
    conf: cfg.ConfigOpts,
    make_spec: MakeSpec,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    done: bool,
    place: Path,
) -> None:
    old = make_spec(Then.COUNT, marker="the old one")
    new = make_spec(Then.COUNT, marker="the new one", old=old)
    pid = (await boot(hypervisor, old)).pid
    with monkeypatch.context() as patch:
        patch.setattr(Monitor, "execute", killed_at(command, done=done))
        patch.setattr(QemuMachine, "quit", QemuMachine.let_go)  # The dead end nothing.
        with pytest.raises(asyncio.CancelledError):
            await swapped_and_closed(hypervisor, new)
        if left := hypervisor.get(old.server_id):
            assert isinstance(left, QemuMachine)
            await left.let_go()
    hypervisor._machines.clear()
    await hypervisor.close()
    successor = next_hypervisor()

    adopted = await successor.adopt()

    if not adopted:
        assert not Path(f"/proc/{pid}").exists()
        files = Path(conf.run_path, "servers", old.server_id).iterdir()
        assert [file.name for file in files] == ["console.log"]
        return
    (machine,) = adopted
    assert machine.spec == (await disks_of(successor, old.server_id, old, new))
    # Under the new disk nothing of the old system runs on.
    if not machine.ended.done():
        await until_said(successor, machine, "tick")
        said = await successor.console_output(old.server_id, None)
        assert said.startswith("the new one" if machine.spec == new else "the old one")
    # Whatever it left in QEMU is no obstacle to the next attempt.
    machine = await successor.swap(new if machine.spec == old else old)
    assert machine.spec == (await disks_of(successor, old.server_id, old, new))
    await machine.close_old_disks()
    assert open_files(pid, place) == files_of(machine.spec)


async def swapped_and_closed(hypervisor: QemuHypervisor, spec: MachineSpec) -> None:
    """A swap, and what follows when the new guest boots already."""
    machine = await hypervisor.swap(spec)
    await machine.close_old_disks()


async def disks_of(hypervisor: QemuHypervisor, server_id: str, *specs: MachineSpec) -> MachineSpec:
    """Which of the generations the root disk of a QEMU shows, as QEMU itself says."""
    nodes = await ask(hypervisor, server_id, "query-named-block-nodes", flat=True)
    (root,) = [node for node in nodes if node["node-name"] == "root"]
    fdset = json.loads(root["file"].removeprefix("json:"))["file"]["file"]["filename"]
    for known in await ask(hypervisor, server_id, "query-fdsets"):
        if fdset == f"/dev/fdset/{known['fdset-id']}":
            machine = hypervisor.get(server_id)
            assert machine
            opened = Path(f"/proc/{machine.pid}/fd/{known['fds'][0]['fd']}").readlink()
            (spec,) = [spec for spec in specs if Path(spec.root) == opened]
            return spec
    raise AssertionError(fdset)


def killed_at(command: str, *, done: bool) -> Callable[..., Any]:
    """Monitor.execute in an agent that is killed just before or after it."""
    execute = Monitor.execute

    async def until_killed(monitor: Monitor, name: str, *arguments: Any, **more: Any) -> Any:
        if name != command:
            return await execute(monitor, name, *arguments, **more)
        if done:
            await execute(monitor, name, *arguments, **more)
        raise asyncio.CancelledError

    return until_killed
