"""What one QEMU process can reach and take of its host, read back from the kernel; and who can reach it."""
# ruff: noqa: ASYNC240  Nothing else runs in a test's event loop.

import asyncio
import os
import pwd
import re
import subprocess
from pathlib import Path

import pytest
from oslo_config import cfg

from renova.agent.qemu.bounds import ADDRESSES, CGROUPS, MEMORY, THREADS, THREADS_OF_USER
from renova.agent.qemu.hypervisor import QemuHypervisor
from tests.functional.machines import MIB, MakeSpec, until_said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run QEMU as someone else")
async def test_qemu_is_an_unprivileged_user_with_nothing_of_ours_open(
    hypervisor: QemuHypervisor, make_spec: MakeSpec, place: Path
) -> None:
    machine = await hypervisor.start(make_spec())

    await until_said(hypervisor, machine, "marker")
    status = Path(f"/proc/{machine.pid}/status").read_text()
    nobody = pwd.getpwnam("nobody")
    assert f"Uid:\t{nobody.pw_uid}\t{nobody.pw_uid}\t{nobody.pw_uid}\t{nobody.pw_uid}\n" in status
    assert "Groups:\t \n" in status
    assert "CapEff:\t0000000000000000\n" in status
    # A filter of system calls, which every thread has, and no way to more privileges.
    for thread in Path(f"/proc/{machine.pid}/task").iterdir():
        assert "Seccomp:\t2\n" in (thread / "status").read_text()
    assert "NoNewPrivs:\t1\n" in status
    links = (entry.readlink() for entry in Path(f"/proc/{machine.pid}/fd").iterdir())
    ours = {link.name for link in links if link.is_relative_to(place)}
    assert machine.spec.config_drive is not None
    disks = {Path(machine.spec.base).name, Path(machine.spec.root).name, Path(machine.spec.config_drive).name}
    assert ours == disks | {"console.log", "qemu.log"}
    assert os.getsid(machine.pid) == machine.pid


async def test_what_qemu_may_take_of_its_host_is_bounded(
    hypervisor: QemuHypervisor, make_spec: MakeSpec
) -> None:
    """By whichever of both this host has."""
    machine = await hypervisor.start(make_spec())

    limits = Path(f"/proc/{machine.pid}/limits").read_text()
    assert re.search(r"^Max core file size +0 ", limits, re.MULTILINE), "a core file is a guest's memory"
    groups = Path(f"/proc/{machine.pid}/cgroup").read_text()
    if f"/renova/{machine.spec.server_id}\n" in groups:
        group = CGROUPS / "renova" / machine.spec.server_id
        assert int((group / "memory.max").read_text()) == (64 + MEMORY) * MIB
        assert int((group / "pids.max").read_text()) == 1 + THREADS
    else:
        assert re.search(rf"^Max address space +{(64 + ADDRESSES) * MIB} ", limits, re.MULTILINE)
        assert re.search(rf"^Max processes +{THREADS_OF_USER} ", limits, re.MULTILINE)
    await machine.quit()
    assert not (CGROUPS / "renova" / machine.spec.server_id).exists()


STRANGER = 54321
# Python may lie where no other user can start it; perl is a part of every Debian.
CONNECT = 'use IO::Socket::UNIX; for (@ARGV) { print IO::Socket::UNIX->new($_) ? "connected\\n" : "$!\\n" }'


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try it as someone else")
async def test_another_user_reaches_neither_sockets_nor_console(
    hypervisor: QemuHypervisor, conf: cfg.ConfigOpts, make_spec: MakeSpec, place: Path
) -> None:
    machine = await hypervisor.start(make_spec())
    await until_said(hypervisor, machine, "marker")
    # The directories above may be open, as /run/renova is: the server's own is closed.
    for above in (place, Path(conf.run_path), Path(conf.run_path) / "servers"):
        above.chmod(0o755)
    directory = Path(conf.run_path) / "servers" / machine.spec.server_id
    sockets = sorted(str(path) for path in directory.glob("*.sock"))
    assert [Path(path).name for path in sockets] == ["qga.sock", "qmp.sock", "serial.sock"]
    as_stranger = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups"]
    assert await output_of("perl", "-e", CONNECT, sockets[-1]) == "connected\n"
    refusals = await output_of(*as_stranger, "perl", "-e", CONNECT, *sockets)
    assert refusals == "Permission denied\n" * len(sockets)
    assert "Permission denied" in await output_of(*as_stranger, "cat", str(directory / "console.log"))


async def output_of(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/"
    )
    return (await process.communicate())[0].decode()
