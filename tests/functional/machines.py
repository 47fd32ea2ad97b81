"""Machines over a real QEMU, whose guests are one sector each: what their tests share."""
# ruff: noqa: ASYNC110  A test waits for conditions, and nothing else runs in its event loop.

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import pytest
from oslo_config import cfg

from renova import conf as options
from renova.agent.qemu import Machine, MachineSpec, NetworkCard
from renova.agent.qemu.hypervisor import QemuHypervisor
from renova.agent.qemu.run_directory import run_directories
from tests.guest.boot_sector import Then, write_image

DEADLINE = 30.0
MIB = 1024 * 1024
CARD = NetworkCard("fa:16:3e:00:00:01", "10.1.0.9", "10.1.0.0/24", "10.1.0.1", "10.1.0.2")

NextHypervisor = Callable[[], QemuHypervisor]


class MakeSpec(Protocol):
    """Makes the disks of a new server, or of the generation after `old`, whose guest says `marker` and does
    `then`. `size` is the root disk's.
    """

    def __call__(
        self,
        then: Then = Then.HALT,
        *,
        disk_format: str = "qcow2",
        marker: str = "marker",
        old: MachineSpec | None = None,
        size: str = "16M",
    ) -> MachineSpec: ...


@pytest.fixture
def place() -> Iterator[Path]:
    """A short path, closed to every other user: QEMU's own user can open nothing below it."""
    directory = Path(tempfile.mkdtemp(prefix="renova-"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def conf(place: Path) -> cfg.ConfigOpts:
    conf = options.load([])
    conf.set_override("run_path", str(place / "run"))
    conf.set_override("accelerator", "tcg", group="compute")
    if os.geteuid() == 0:
        conf.set_override("qemu_user", "nobody", group="compute")
    return conf


@pytest.fixture
async def next_hypervisor(conf: cfg.ConfigOpts) -> AsyncIterator[NextHypervisor]:
    """What an agent has that starts after the one before; at the end no machine of theirs is left."""
    made = []

    def make() -> QemuHypervisor:
        made.append(QemuHypervisor(conf))
        return made[-1]

    yield make
    for hypervisor in made:
        await hypervisor.close()
    last = make()
    await last.adopt()
    # One that could not be adopted (on a loaded host its monitor may take too long) is ended too.
    for directory in list(run_directories(Path(conf.run_path) / "servers")):
        await last.remove(directory.path.name)
    await last.close()


@pytest.fixture
def hypervisor(next_hypervisor: NextHypervisor) -> QemuHypervisor:
    return next_hypervisor()


@pytest.fixture
def make_spec(place: Path) -> MakeSpec:
    def make(
        then: Then = Then.HALT,
        *,
        disk_format: str = "qcow2",
        marker: str = "marker",
        old: MachineSpec | None = None,
        size: str = "16M",
    ) -> MachineSpec:
        generation = old.generation + 1 if old else 1
        name = f"{old.server_id if old else uuid4()}-{generation}"
        base = write_image(place / f"{name}.base", marker, then, disk_format=disk_format)
        config = place / f"{name}.iso"
        config.write_bytes(bytes(MIB))
        root = place / f"{name}.qcow2"
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", disk_format, "-b"]
        subprocess.run([*command, base, root, size], check=True)
        spec = MachineSpec(
            server_id=name.removesuffix("-1"),
            generation=generation,
            name="web, the first",
            vcpus=1,
            ram_mib=64,
            base=str(base),
            base_format=disk_format,
            root=str(root),
            config_drive=str(config),
            cards=(CARD,),
        )
        return replace(spec, server_id=old.server_id) if old else spec

    return make


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.02)


async def until_said(hypervisor: QemuHypervisor, machine: Machine, text: str) -> str:
    async with asyncio.timeout(DEADLINE):
        while text not in (said := await hypervisor.console_output(machine.spec.server_id, None)):
            await asyncio.sleep(0.02)
    return said


async def ended(machine: Machine, within: float = DEADLINE) -> str:
    return await asyncio.wait_for(asyncio.shield(machine.ended), within)
