"""Machines over a real QEMU, with guests of one sector."""
# ruff: noqa: ASYNC240  Nothing else runs in a test's event loop.

import asyncio
import os
import shutil
import signal
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from oslo_config import cfg

from renova.agent.qemu.face import NO_SPACE, PANICKED, POWERED_OFF
from renova.agent.qemu.hypervisor import QemuHypervisor
from renova.agent.verify import settles
from renova.agent.work import StepFailed
from renova.errors import DiskFull, RenovaError
from tests.functional.machines import (
    DEADLINE,
    MIB,
    MakeSpec,
    NextHypervisor,
    ended,
    until,
    until_said,
)
from tests.guest.boot_sector import Then
from tests.small_disk import small_disk


@pytest.mark.parametrize("disk_format", ["qcow2", "raw"])
async def test_a_guest_boots_from_its_overlay(
    hypervisor: QemuHypervisor, make_spec: MakeSpec, disk_format: str
) -> None:
    machine = await hypervisor.start(make_spec(disk_format=disk_format, marker="hello from the disk"))

    await until_said(hypervisor, machine, "hello from the disk")
    assert hypervisor.get(machine.spec.server_id) is machine
    assert not machine.ended.done()
    await machine.quit()
    assert hypervisor.get(machine.spec.server_id) is None
    assert await hypervisor.console_output(machine.spec.server_id, 2) == "hello from the disk\r\n"


async def test_a_running_machine_is_adopted_by_the_next_agent(
    hypervisor: QemuHypervisor, next_hypervisor: NextHypervisor, make_spec: MakeSpec
) -> None:
    first = await hypervisor.start(make_spec(Then.COUNT))
    await until_said(hypervisor, first, "tick 00001")
    await hypervisor.close()

    successor = next_hypervisor()
    (machine,) = await successor.adopt()

    assert machine.pid == first.pid
    assert machine.spec == first.spec
    assert successor.get(first.spec.server_id) is machine
    assert not machine.ended.done()
    said = await until_said(successor, machine, "tick 00003")
    assert [line for line in said.splitlines() if line][:3] == ["marker", "tick 00001", "tick 00002"]
    await machine.quit()
    assert await next_hypervisor().adopt() == []


async def test_adopting_notices_a_guest_that_powered_itself_off_meanwhile(
    hypervisor: QemuHypervisor, next_hypervisor: NextHypervisor, make_spec: MakeSpec
) -> None:
    first = await hypervisor.start(make_spec(Then.POWER_OFF))
    await hypervisor.close()
    successor = next_hypervisor()
    seen = []
    successor.on_end = lambda server_id, machine, reason: seen.append((server_id, reason))

    (machine,) = await successor.adopt()

    assert await ended(machine) == POWERED_OFF
    assert seen == [(first.spec.server_id, POWERED_OFF)]
    await machine.quit()


async def test_adopting_ends_a_machine_that_was_never_let_run(
    hypervisor: QemuHypervisor,
    next_hypervisor: NextHypervisor,
    conf: cfg.ConfigOpts,
    make_spec: MakeSpec,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def killed_here(machine: object) -> None:
        raise asyncio.CancelledError

    # An agent that is killed between the spawn and the start leaves a QEMU that waits for `cont`.
    monkeypatch.setattr("renova.agent.qemu.machine.QemuMachine.run", killed_here)
    monkeypatch.setattr(
        "renova.agent.qemu.machine.QemuMachine.kill_after", lambda machine, _: machine.let_go()
    )
    spec = make_spec()
    with pytest.raises(asyncio.CancelledError):
        await hypervisor.start(spec)
    monkeypatch.undo()
    pid = int(Path(conf.run_path, "servers", spec.server_id, "pid").read_text())

    assert await next_hypervisor().adopt() == []

    assert not Path(f"/proc/{pid}").exists()


async def test_what_a_dead_qemu_left_is_removed_but_not_its_console(
    hypervisor: QemuHypervisor, next_hypervisor: NextHypervisor, conf: cfg.ConfigOpts, make_spec: MakeSpec
) -> None:
    machine = await hypervisor.start(make_spec())
    await until_said(hypervisor, machine, "marker")
    await hypervisor.close()
    os.kill(machine.pid, signal.SIGKILL)
    directory = Path(conf.run_path, "servers", machine.spec.server_id)
    # The socket stays, and whoever had the process's number next must not pass for it.
    (directory / "pid").write_text(str(os.getpid()))

    successor = next_hypervisor()
    assert await successor.adopt() == []

    assert [entry.name for entry in directory.iterdir()] == ["console.log"]
    assert await successor.console_output(machine.spec.server_id, None) == "marker\r\n"


async def test_a_killed_qemu_is_noticed_and_its_reason_kept(
    hypervisor: QemuHypervisor, make_spec: MakeSpec
) -> None:
    machine = await hypervisor.start(make_spec())
    seen = []
    hypervisor.on_end = lambda server_id, machine, reason: seen.append(reason)

    os.kill(machine.pid, signal.SIGKILL)

    assert await ended(machine, within=1) == "QEMU was killed by signal 9"
    assert seen == ["QEMU was killed by signal 9"]
    assert hypervisor.get(machine.spec.server_id) is machine
    await machine.quit()
    assert hypervisor.get(machine.spec.server_id) is None


async def test_an_adopted_qemu_that_is_killed_is_noticed(
    hypervisor: QemuHypervisor, next_hypervisor: NextHypervisor, make_spec: MakeSpec
) -> None:
    await hypervisor.start(make_spec())
    await hypervisor.close()
    (machine,) = await next_hypervisor().adopt()

    os.kill(machine.pid, signal.SIGKILL)

    assert "QEMU" in await ended(machine, within=1)


async def test_a_guest_that_powers_itself_off_is_noticed(
    hypervisor: QemuHypervisor, make_spec: MakeSpec
) -> None:
    seen = []
    hypervisor.on_end = lambda server_id, machine, reason: seen.append((server_id, reason))
    machine = await hypervisor.start(make_spec(Then.POWER_OFF))

    assert await ended(machine) == POWERED_OFF
    assert seen == [(machine.spec.server_id, POWERED_OFF)]
    assert not machine.panicked
    await machine.quit()
    assert not Path(f"/proc/{machine.pid}").exists()


async def test_a_guest_that_panics_is_noticed(
    hypervisor: QemuHypervisor, next_hypervisor: NextHypervisor, make_spec: MakeSpec
) -> None:
    seen = []
    hypervisor.on_end = lambda server_id, machine, reason: seen.append(reason)
    machine = await hypervisor.start(make_spec(Then.PANIC))

    assert await ended(machine) == PANICKED
    assert machine.panicked
    assert seen == [PANICKED]

    await hypervisor.close()
    (adopted,) = await next_hypervisor().adopt()
    assert await ended(adopted) == PANICKED
    assert adopted.panicked


async def test_a_guest_that_obeys_goes_down_by_the_power_button(
    hypervisor: QemuHypervisor, make_spec: MakeSpec
) -> None:
    seen = []
    hypervisor.on_end = lambda server_id, machine, reason: seen.append(reason)
    machine = await hypervisor.start(make_spec(Then.OBEY))
    await until_said(hypervisor, machine, "marker")

    assert await machine.power_down(DEADLINE)

    assert machine.ended.result() == POWERED_OFF
    assert seen == []
    await machine.quit()


async def test_a_deaf_guest_runs_on_after_the_time_to_power_down(
    hypervisor: QemuHypervisor, make_spec: MakeSpec
) -> None:
    machine = await hypervisor.start(make_spec(Then.HALT))
    await until_said(hypervisor, machine, "marker")

    assert not await machine.power_down(0.2)
    assert not await machine.power_down(0)

    assert not machine.ended.done()
    await machine.quit()
    await machine.quit()


async def test_a_qemu_that_hangs_is_ended_all_the_same(
    hypervisor: QemuHypervisor, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("renova.agent.qemu.machine.QUIT", 0.1)
    machine = await hypervisor.start(make_spec())
    os.kill(machine.pid, signal.SIGSTOP)

    await machine.quit()

    assert not Path(f"/proc/{machine.pid}").exists()


async def test_a_loop_of_resets_can_be_told_from_a_boot(
    hypervisor: QemuHypervisor, make_spec: MakeSpec
) -> None:
    looping = await hypervisor.start(make_spec(Then.RESET))
    await until(lambda: looping.last_guest_reset is not None)
    first = looping.last_guest_reset
    assert first is not None
    await until(lambda: (looping.last_guest_reset or 0) > first + 2)

    steady = await hypervisor.start(make_spec(Then.COUNT))
    await until_said(hypervisor, steady, "tick 00002")
    last = steady.last_guest_reset
    await until_said(hypervisor, steady, "tick 00004")
    assert steady.last_guest_reset == last


async def test_an_empty_disk_is_found_out_at_any_settle_time_and_after_a_restart_of_the_agent(
    hypervisor: QemuHypervisor, next_hypervisor: NextHypervisor, make_spec: MakeSpec
) -> None:
    spec = make_spec(disk_format="raw")
    Path(spec.base).write_bytes(bytes(MIB))
    steady, empty = await hypervisor.start(make_spec()), await hypervisor.start(spec)
    judged = await asyncio.gather(
        *(settles(machine, settle) for machine in (steady, empty) for settle in (2, 5)),
        return_exceptions=True,
    )
    assert judged[:2] == [None, None]
    for verdict in judged[2:]:
        assert isinstance(verdict, StepFailed)
    await hypervisor.close()

    adopted = {machine.pid: machine for machine in await next_hypervisor().adopt()}
    with pytest.raises(StepFailed, match="still resetting itself after 4 seconds"):
        await settles(adopted[empty.pid], 2)
    await settles(adopted[steady.pid], 2)


async def test_reset_boots_the_guest_again(hypervisor: QemuHypervisor, make_spec: MakeSpec) -> None:
    machine = await hypervisor.start(make_spec())
    await until_said(hypervisor, machine, "marker")

    await machine.reset()

    await until_said(hypervisor, machine, "marker\r\nmarker")


async def test_each_start_begins_a_new_console_log(hypervisor: QemuHypervisor, make_spec: MakeSpec) -> None:
    spec = make_spec()
    machine = await hypervisor.start(spec)
    await until_said(hypervisor, machine, "marker")
    await machine.quit()

    machine = await hypervisor.start(spec)

    assert await until_said(hypervisor, machine, "marker") == "marker\r\n"


async def test_a_guest_that_floods_its_console_fills_no_disk(
    hypervisor: QemuHypervisor, conf: cfg.ConfigOpts, make_spec: MakeSpec
) -> None:
    machine = await hypervisor.start(make_spec(Then.FLOOD, marker="x" * 99))
    log = Path(conf.run_path, "servers", machine.spec.server_id, "console.log")
    sizes = [0]

    def shortened_twice() -> bool:
        sizes.append(log.stat().st_size)
        return sum(later < earlier for earlier, later in pairwise(sizes)) == 2

    await until(shortened_twice)

    assert max(sizes) < MIB
    lines = (await hypervisor.console_output(machine.spec.server_id, 1000)).split("\r\n")[:-1]
    # Where a log was shortened some bytes may be missing.
    assert lines.count("x" * 99) >= 997


async def test_a_server_that_runs_is_not_started_twice(
    hypervisor: QemuHypervisor, make_spec: MakeSpec
) -> None:
    machine = await hypervisor.start(make_spec())

    with pytest.raises(RenovaError, match="runs already"):
        await hypervisor.start(machine.spec)

    assert not machine.ended.done()


async def test_a_qemu_that_refuses_to_start_says_why(
    hypervisor: QemuHypervisor, conf: cfg.ConfigOpts, make_spec: MakeSpec
) -> None:
    spec = make_spec()
    Path(spec.root).write_bytes(b"no qcow2 at all")

    with pytest.raises(RenovaError, match=r"QEMU did not start: .*not in qcow2 format"):
        await hypervisor.start(spec)

    assert hypervisor.get(spec.server_id) is None
    directory = Path(conf.run_path, "servers", spec.server_id)
    assert [entry.name for entry in directory.iterdir()] == ["console.log"]


async def test_a_missing_disk_or_program_is_said(
    hypervisor: QemuHypervisor, next_hypervisor: NextHypervisor, conf: cfg.ConfigOpts, make_spec: MakeSpec
) -> None:
    spec = make_spec()
    Path(spec.root).unlink()
    with pytest.raises(RenovaError, match=r"\.qcow2 can't be opened: No such file"):
        await hypervisor.start(spec)

    conf.set_override("qemu", "no-such-qemu", group="compute")
    with pytest.raises(RenovaError, match="no-such-qemu can't be started"):
        await next_hypervisor().start(make_spec())


async def test_a_guest_without_an_agent_does_not_answer(
    hypervisor: QemuHypervisor, make_spec: MakeSpec
) -> None:
    machine = await hypervisor.start(make_spec())

    assert not await machine.agent_answers(0.2)


async def test_removing_a_server_leaves_nothing_in_the_run_directory(
    hypervisor: QemuHypervisor, conf: cfg.ConfigOpts, make_spec: MakeSpec
) -> None:
    machine = await hypervisor.start(make_spec())

    await hypervisor.remove(machine.spec.server_id)

    assert not Path(f"/proc/{machine.pid}").exists()
    assert list(Path(conf.run_path, "servers").iterdir()) == []
    assert await hypervisor.console_output(machine.spec.server_id, None) == ""


async def test_the_disk_is_copied_while_the_guest_runs(
    hypervisor: QemuHypervisor, make_spec: MakeSpec, place: Path
) -> None:
    machine = await hypervisor.start(make_spec(Then.COUNT, marker="one of many"))
    await until_said(hypervisor, machine, "tick")
    for name in ("first", "second"):  # Nothing of the first copy is left that hinders the second.
        copy = place / name
        await run_to_end("qemu-img", "create", "-q", "-f", "qcow2", str(copy), "16M")
        await machine.copy_root(copy)
        await run_to_end("qemu-img", "check", "-q", str(copy))
        # The guest writes nothing, so the copy is what its base is.
        await run_to_end("qemu-img", "compare", "-q", str(copy), machine.spec.base)
    said = await hypervisor.console_output(machine.spec.server_id, None)
    await until_said(hypervisor, machine, f"tick {said.count('tick') + 1:05}")
    smaller = place / "smaller"
    await run_to_end("qemu-img", "create", "-q", "-f", "qcow2", str(smaller), "64k")
    with pytest.raises(RenovaError, match="Source and target image have different sizes"):
        await machine.copy_root(smaller)
    assert not machine.ended.done()


async def test_a_guest_that_fills_the_disk_stands_still_and_loses_nothing(
    hypervisor: QemuHypervisor, next_hypervisor: NextHypervisor, make_spec: MakeSpec, place: Path
) -> None:
    with small_disk(8) as disk:
        # Its disk has 16 MiB, and all of them are written.
        spec = make_spec(Then.FILL)
        root = disk.path / "root.qcow2"
        shutil.move(spec.root, root)
        machine = await hypervisor.start(replace(spec, root=str(root)))
        await until(lambda: machine.stalled)
        assert machine.stalled == NO_SPACE
        assert hypervisor.stalled() == [machine]
        await machine.go_on()  # There is no room yet, so it stalls again.
        await until(lambda: machine.stalled)
        await hypervisor.close()

        successor = next_hypervisor()
        (adopted,) = await successor.adopt()
        assert adopted.stalled == NO_SPACE
        assert not adopted.ended.done()
        assert "tick" not in await successor.console_output(spec.server_id, None)
        await run_to_end("mount", "-o", "remount,size=64m", str(disk.path))
        await adopted.go_on()
        await until_said(successor, adopted, "tick 00000")
        assert successor.stalled() == []
        await adopted.quit()
        await run_to_end("qemu-img", "check", "-q", str(root))


async def test_a_copy_for_which_there_is_no_room_is_given_up(
    hypervisor: QemuHypervisor, make_spec: MakeSpec
) -> None:
    with small_disk(8) as disk:
        machine = await hypervisor.start(make_spec(Then.FILL))
        await until_said(hypervisor, machine, "tick 00000")
        copy = disk.path / "copy"
        await run_to_end("qemu-img", "create", "-q", "-f", "qcow2", str(copy), "16M")
        with pytest.raises(DiskFull, match="No space left on device"):
            await machine.copy_root(copy)
        assert not machine.ended.done()
        assert machine.stalled is None
        await machine.quit()


async def run_to_end(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0
