"""Guests on user networks: what leads to them, and what they can't reach. Real QEMU, a small real Linux."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest

from renova.agent.networks.choice import choose
from renova.agent.networks.user import FORWARDED, UserNetworks
from renova.agent.qemu.face import POWERED_OFF
from renova.agent.steps import spec_of
from renova.agent.work import Work
from renova.errors import RenovaError
from tests.functional.agent_world import World, with_ports
from tests.functional.linux_machines import LinuxMachines, linux_machines, short_run_path
from tests.guest.linux import shared_image

# Whoever connects to the guest's port 22 is told who answers.
GREET = "while :; do hostname | nc -l -p 22; done &"


@pytest.fixture
def networks(world: World) -> Iterator[UserNetworks]:
    with short_run_path(world):
        yield UserNetworks(world.conf, world.sessions)


@pytest.fixture
async def machines(
    world: World, networks: UserNetworks, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LinuxMachines]:
    image = await asyncio.to_thread(shared_image, tmp_path_factory)
    async with linux_machines(world, networks, image) as machines:
        yield machines


async def greeting(port: int | None) -> str:
    """What the guest says, as soon as it listens: until then QEMU takes the connection and closes it."""
    said = ""
    async with asyncio.timeout(20):
        while not said:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with suppress(ConnectionError):
                said = (await reader.read()).decode().strip()
            writer.close()
    return said


async def test_a_loopback_port_leads_to_the_guest_and_nothing_leads_out(
    world: World, machines: LinuxMachines
) -> None:
    server = await machines.new()
    (port,) = server.ports
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as listening:
        number = listening.sockets[0].getsockname()[1]
        gateway = port.address.rpartition(".")[0] + ".1"
        machine = await machines.boot(
            server, f"nc -w 3 {gateway} {number} </dev/null && echo reached || echo unreachable\n{GREET}"
        )
        (card,) = machine.spec.cards
        await machines.says(server, f"guest address: {port.address}/16 {port.mac}")
        await machines.says(server, "unreachable")
    assert card.ssh_port in FORWARDED
    assert await greeting(card.ssh_port) == server.hostname
    (shown,) = (await with_ports(world, server.id)).ports
    assert shown.ssh_port == card.ssh_port


async def test_user_outbound_lets_a_guest_reach_the_loopback_of_the_host(
    world: World, machines: LinuxMachines
) -> None:
    world.conf.set_override("user_outbound", True, group="network")
    machines.networks = UserNetworks(world.conf, world.sessions)
    server = await machines.new()
    gateway = server.ports[0].address.rpartition(".")[0] + ".1"
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as listening:
        number = listening.sockets[0].getsockname()[1]
        await machines.boot(server, f"nc -w 3 {gateway} {number} </dev/null && echo reached || echo not")
        await machines.says(server, "reached")


async def test_a_port_is_kept_unless_somebody_else_listens_there(
    world: World, networks: UserNetworks, machines: LinuxMachines
) -> None:
    first, second = await machines.new(), await machines.new()
    (card,), (other,) = await networks.cards(first, ()), await networks.cards(second, ())
    assert card.ssh_port != other.ssh_port
    assert await networks.cards(first, ()) == (card,)
    assert card.ssh_port is not None
    with socket.create_server(("127.0.0.1", card.ssh_port)):
        assert await networks.cards(first, (card,)) == (card,), "its own machine holds the port"
        (moved,) = await networks.cards(first, ())
    assert moved.ssh_port not in {card.ssh_port, other.ssh_port}
    assert await UserNetworks(world.conf, world.sessions).cards(first, ()) == (moved,)


async def test_a_guest_that_is_off_in_its_qemu_keeps_its_port(world: World) -> None:
    """Else a rebuild, for which the guest is off, would want another machine than the one that waits."""
    world.hypervisor.on_end = None
    machine = world.hypervisor.get(world.server_id)
    assert machine is not None
    (card,) = machine.spec.cards
    assert card.ssh_port is not None
    with socket.create_server(("127.0.0.1", card.ssh_port)):
        machine.end(POWERED_OFF)
        (action,) = await world.actions()
        work = await Work.of(await world.tools(), action.id)
        assert work is not None
        assert (await spec_of(work, 1)).is_same_machine(machine.spec)


async def test_why_a_host_has_user_networks(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with caplog.at_level(logging.INFO):
        assert isinstance(await choose(world.conf, world.sessions), UserNetworks)
        assert "because the agent is not root" in caplog.text
        world.conf.set_override("mode", "user", group="network")
        assert isinstance(await choose(world.conf, world.sessions), UserNetworks)
        assert "as [network] mode says" in caplog.text
    world.conf.set_override("mode", "bridge", group="network")
    with pytest.raises(RenovaError, match="mode is bridge, and the agent is not root"):
        await choose(world.conf, world.sessions)
