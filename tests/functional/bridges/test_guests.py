"""A small real Linux on a bridge, through an agent's restart and a new disk."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from renova.agent.networks import links
from renova.agent.networks.bridge import BridgedNetworks
from renova.agent.qemu.hypervisor import QemuHypervisor
from tests.functional.agent_world import World
from tests.functional.linux_machines import LinuxMachines, linux_machines
from tests.guest.linux import shared_image


@pytest.fixture
async def machines(
    world: World, networks: BridgedNetworks, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LinuxMachines]:
    image = await asyncio.to_thread(shared_image, tmp_path_factory)
    async with linux_machines(world, networks, image) as machines:
        yield machines


async def test_real_guests_on_a_bridge(
    world: World, machines: LinuxMachines, networks: BridgedNetworks
) -> None:
    one, two = await machines.new(), await machines.new()
    address, other = one.ports[0].address, two.ports[0].address
    prefix = one.ports[0].network.cidr.partition("/")[2]
    serve = "while :; do echo me again | nc -l -p 22; done &"
    await machines.boot(one, serve)
    await machines.says(one, f"guest address: {address}/{prefix} {one.ports[0].mac}")
    await machines.says(one, "guest user data: .*")
    tap = (await networks.cards(one, ()))[0].tap
    assert tap
    assert links.exists(tap)
    script = f"""nc -w 5 {address} 22 </dev/null
wget -q -O - http://169.254.169.254/openstack/latest/meta_data.json | grep -o '"uuid": "[^"]*"'"""
    await machines.boot(two, script)
    await machines.says(two, "me again")
    await machines.says(two, f'"uuid": "{two.id}"')
    assert await greeted(address)
    # The agent is another one from here on; the machine is the same.
    await machines.hypervisor.close()
    machines.hypervisor = QemuHypervisor(world.conf)
    (machine, _) = sorted(await machines.hypervisor.adopt(), key=lambda found: found.spec.server_id != one.id)
    assert await greeted(address)
    # A new system on a new disk, in a new QEMU: the same address by DHCP.
    await machine.quit()
    assert not links.exists(tap)
    await machines.boot(one, serve, generation=2)
    await machines.says(one, f"guest address: {address}/{prefix} {one.ports[0].mac}")
    await machines.says(one, "guest user data: .*")
    assert await greeted(address)
    assert other != address


async def greeted(address: str) -> bool:
    """Whether the guest says its sentence, once it listens again."""
    async with asyncio.timeout(20):
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection(address, 22)
                said = await reader.read()
                writer.close()
                return said == b"me again\n"
            await asyncio.sleep(0.05)
