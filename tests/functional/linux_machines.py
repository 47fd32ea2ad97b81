"""Small real Linux guests of servers of a database, on the networks of one host."""

import asyncio
import base64
import dataclasses
import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from renova.agent import config_drive
from renova.agent.generation_files import drive_of
from renova.agent.networks.face import Networks
from renova.agent.qemu import Machine, MachineSpec
from renova.agent.qemu.hypervisor import QemuHypervisor
from renova.compute.generations import get_generation
from renova.db.tables import Server
from renova.guests.image import RAM_MIB
from tests.functional.agent_world import World, with_ports


class LinuxMachines:
    """Makes servers and boots them. Their files are in `directory`, which goes with the test."""

    def __init__(
        self, world: World, networks: Networks, hypervisor: QemuHypervisor, image: Path, directory: Path
    ) -> None:
        self.world, self.networks, self.hypervisor = world, networks, hypervisor
        self.image, self.directory = image, directory

    async def new(self) -> Server:
        await self.world.create()
        return await with_ports(self.world, self.world.server_id)

    async def boot(self, server: Server, script: str = "", generation: int = 1) -> Machine:
        """Boot a fresh disk that runs `script` once it has its addresses."""
        async with self.world.sessions() as session:
            row = await get_generation(session, server.id, server.generation)
        user_data = base64.b64encode(f"#!/bin/sh\n{script}\n".encode()).decode()
        drive = dataclasses.replace(drive_of(server, row, self.networks), user_data=user_data)
        place = self.directory / server.id
        await asyncio.to_thread(config_drive.build, place / "config.iso", drive)
        base, root = place / "base.qcow2", place / f"root-{generation}.qcow2"
        await asyncio.to_thread(shutil.copy, self.image, base)
        command = ("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(base), str(root))
        assert await (await asyncio.create_subprocess_exec(*command)).wait() == 0
        return await self.hypervisor.start(
            MachineSpec(
                server_id=server.id,
                generation=generation,
                name=server.name,
                vcpus=1,
                ram_mib=RAM_MIB,
                base=str(base),
                base_format="qcow2",
                root=str(root),
                config_drive=str(place / "config.iso"),
                cards=await self.networks.cards(server, ()),
            )
        )

    async def says(self, server: Server, pattern: str, seconds: float = 90) -> re.Match[str]:
        """Wait until the guest has said a line that matches `pattern` as a whole."""
        deadline = time.monotonic() + seconds
        while True:
            said = (await self.hypervisor.console_output(server.id, None)).replace("\r\n", "\n")
            if found := re.search(f"^{pattern}$", said, re.MULTILINE):
                return found
            assert time.monotonic() < deadline, f"no {pattern!r}; the guest said:\n{said}"
            await asyncio.sleep(0.1)

    async def close(self) -> None:
        for directory in self.directory.iterdir():
            await self.hypervisor.remove(directory.name)
        await self.hypervisor.close()


@contextmanager
def short_run_path(world: World) -> Iterator[Path]:
    """A run path that other users may pass through, and that a socket's path has room for."""
    with tempfile.TemporaryDirectory(prefix="renova-") as place:
        Path(place).chmod(0o711)
        world.conf.set_override("run_path", place)
        yield Path(place)


@asynccontextmanager
async def linux_machines(world: World, networks: Networks, image: Path) -> AsyncIterator[LinuxMachines]:
    """Ends every machine at the end. As root, QEMU runs as nobody."""
    if os.geteuid() == 0:
        world.conf.set_override("qemu_user", "nobody", group="compute")
    disks = Path(world.conf.run_path) / "disks"
    disks.mkdir(mode=0o700)
    machines = LinuxMachines(world, networks, QemuHypervisor(world.conf), image, disks)
    try:
        yield machines
    finally:
        await machines.close()
