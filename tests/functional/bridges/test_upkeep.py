"""Bridges through what happens to agents and hosts; and when there are none."""
# ruff: noqa: ASYNC110, ASYNC221  Namespaces are driven by calls that take milliseconds.

import asyncio
import ipaddress
import logging
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import select

from renova.agent.networks import bridge as bridge_module
from renova.agent.networks import firewall, links
from renova.agent.networks.bridge import BridgedNetworks
from renova.agent.networks.choice import choose
from renova.agent.networks.names import Names
from renova.agent.networks.removal import remove
from renova.agent.networks.user import UserNetworks
from renova.db.tables import Network
from renova.errors import RenovaError
from tests.functional.agent_world import World, with_ports
from tests.functional.bridges.plugged import Plugged, ip
from tests.functional.bridges.site import Site, ask, reaches, serving


async def test_a_restart_of_the_agent_cuts_nothing(world: World) -> None:
    with ExitStack() as stack:
        networks = BridgedNetworks(world.conf, world.sessions)
        async with serving(networks):
            site = Site(world, networks, stack)
            one, two = await site.guest(), await site.guest()
            listening = stack.enter_context(two.listen(two.card.address, 2222))
            connection = stack.enter_context(one.open())
            connection.connect((two.card.address, 2222))
            accepted = stack.enter_context(listening.accept()[0])
            outer = stack.enter_context(socket.create_connection((two.card.address, 2222), timeout=5))
            inner = stack.enter_context(listening.accept()[0])
        connection.sendall(b"no agent")
        assert accepted.recv(100) == b"no agent"
        other = str(ipaddress.ip_address(one.card.address) + 100)
        one.add_address(other)
        assert not await reaches(one, two.card.address, 2222, source=other), "the firewall needs no agent"
        again = BridgedNetworks(world.conf, world.sessions)
        async with serving(again):
            assert await again.cards(await with_ports(world, world.server_id), ()) == (two.card,)
            outer.sendall(b"another agent")
            assert inner.recv(100) == b"another agent"
            assert await reaches(one, two.card.gateway, 53)
            assert (await ask(one, "/latest/meta-data/hostname")).text == "before"


async def test_what_somebody_took_away_is_made_again(
    site: Site, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge_module, "LOOK", 0.1)
    names = Names.of(world.conf.run_path)
    again = BridgedNetworks(world.conf, world.sessions)
    async with serving(again):
        card = await site.card()
        assert card.bridge
        for family in ("inet", "bridge"):
            subprocess.run(["nft", "delete", "table", family, names.table], check=True)
        ip("link", "delete", card.bridge)
        async with asyncio.timeout(20):
            while not links.exists(card.bridge) or not await firewall.stands(names):
                await asyncio.sleep(0.05)
        with Plugged(card) as guest:
            async with asyncio.timeout(20):
                while not await reaches(guest, card.gateway, 53):
                    await asyncio.sleep(0.05)


async def test_a_range_that_is_free_on_this_host_is_chosen_once(world: World) -> None:
    async with world.sessions() as session:
        network = (await session.scalars(select(Network))).one()
    names = Names.of(world.conf.run_path)
    first = links.free_range(names.tag + network.id, [])
    taken = f"rnvd{names.tag}"
    ip("link", "add", taken, "type", "bridge")
    try:
        ip("address", "add", f"{first[9]}/24", "dev", taken)
        async with serving(BridgedNetworks(world.conf, world.sessions)):
            async with world.sessions() as session:
                chosen = (await session.scalars(select(Network))).one()
            range_ = ipaddress.IPv4Network(chosen.cidr)
            assert chosen.chosen_by == "host1"
            assert range_.prefixlen == links.PREFIX
            assert not range_.overlaps(first)
        remove(names)
        ip("link", "delete", taken)
        async with serving(BridgedNetworks(world.conf, world.sessions)), world.sessions() as session:
            assert (await session.scalars(select(Network.cidr))).one() == chosen.cidr, "chosen for good"
    finally:
        if links.exists(taken):
            ip("link", "delete", taken)


async def test_a_range_in_use_that_leads_elsewhere_is_refused(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.create()
    taken = f"rnvd{Names.of(world.conf.run_path).tag}"
    ip("link", "add", taken, "type", "bridge")
    try:
        ip("address", "add", "10.77.3.1/24", "dev", taken)
        ip("link", "set", taken, "up")
        world.conf.set_override("mode", "bridge", group="network")
        with pytest.raises(
            RenovaError, match=r"10\.77\.0\.0/16 of the network private clashes with a route to 10\.77\.3"
        ):
            await choose(world.conf, world.sessions)
        world.conf.set_override("mode", "auto", group="network")
        with caplog.at_level(logging.WARNING):
            assert isinstance(await choose(world.conf, world.sessions), UserNetworks)
        assert "Guests are on user networks, because 10.77.0.0/16" in caplog.text
    finally:
        ip("link", "delete", taken)


def status_of(pid: int) -> str:
    """What the kernel says of a process; of one that is gone, that it is a zombie."""
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return "State:\tZ"


async def test_dnsmasq_goes_with_an_agent_that_is_killed(world: World) -> None:
    link = f"rnvd{Names.of(world.conf.run_path).tag}"
    script = f"""import asyncio, sys
from ipaddress import IPv4Interface
from pathlib import Path
from renova.agent.networks.dnsmasq import Dnsmasq
from renova.agent.networks.firewall import Segment
async def main():
    dnsmasq = Dnsmasq(Path("{world.conf.run_path}"), Segment("{link}", IPv4Interface("198.51.100.9/30")))
    await dnsmasq.offer({{}}, set())
    sys.stdout.write(f"{{dnsmasq._process.pid}}\\n")
    sys.stdout.flush()
    await asyncio.sleep(600)
asyncio.run(main())
"""
    ip("link", "add", link, "type", "bridge")
    try:
        ip("address", "add", "198.51.100.9/30", "dev", link)
        agent = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
        )
        assert agent.stdout
        pid = int(await agent.stdout.readline())
        assert "Uid:\t0" not in status_of(pid)
        agent.kill()
        await agent.wait()
        async with asyncio.timeout(10):
            while "State:\tZ" not in status_of(pid):
                await asyncio.sleep(0.02)
    finally:
        ip("link", "delete", link)


async def test_without_its_programs_a_host_has_user_networks(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None if program == "dnsmasq" else program)
    with caplog.at_level(logging.WARNING):
        assert isinstance(await choose(world.conf, world.sessions), UserNetworks)
    assert "the program dnsmasq is missing; on Debian: apt-get install dnsmasq-base" in caplog.text
