"""Who reaches whom and what on a host with bridges: the firewall, DHCP, DNS, metadata."""

import asyncio
import ipaddress
import json
import socket

from sqlalchemy import update

from renova.agent.networks.firewall import METADATA_PORT
from renova.compute import power
from renova.db.tables import Generation
from tests.functional.bridges.plugged import Namespace, ip
from tests.functional.bridges.site import Site, ask, reaches


async def test_who_reaches_whom(site: Site) -> None:
    one, two = await site.guest(), await site.guest()
    gateway = one.card.gateway
    with (
        two.listen(two.card.address, 2222),
        socket.create_server(("0.0.0.0", 0)) as host,
    ):
        port = host.getsockname()[1]
        assert await reaches(one, two.card.address, 2222)
        socket.create_connection((two.card.address, 2222), timeout=5).close()
        assert await reaches(one, gateway, 53)
        for address in {
            gateway,
            *(
                info["local"]
                for link in json.loads(ip("-json", "-4", "address"))
                for info in link["addr_info"]
            ),
        } - {"127.0.0.1"}:
            assert not await reaches(one, address, port), f"a service of the host at {address}"
        assert not await reaches(one, gateway, METADATA_PORT)


async def test_a_guest_has_its_own_address_and_no_other(site: Site) -> None:
    thief, victim, server = [await site.guest() for _ in range(3)]
    with server.listen(server.card.address, 2222):
        assert await reaches(thief, server.card.address, 2222, source=thief.card.address)
        other = str(ipaddress.ip_address(victim.card.address) + 100)
        for address in (victim.card.address, other):
            victim.ip("link", "set", "eth0", "down")
            thief.add_address(address)
            assert not await reaches(thief, server.card.address, 2222, source=address)
        thief.ip("link", "set", "eth0", "address", victim.card.mac)
        assert not await reaches(thief, server.card.address, 2222, source=thief.card.address)


async def test_arp_and_dhcp_are_not_answered_for_others(site: Site) -> None:
    thief, victim, server = [await site.guest() for _ in range(3)]
    with server.listen(server.card.address, 2222), victim.listen(victim.card.address, 2222):
        assert await reaches(victim, server.card.address, 2222)
        assert victim.neighbours()[server.card.address] == server.card.mac
        thief.say_arp(server.card.address, thief.card.mac, victim.card)
        thief.say_arp(thief.card.gateway, thief.card.mac, victim.card)
        # What was sent before has arrived, or never will, when this has.
        assert await reaches(thief, victim.card.address, 2222)
        known = victim.neighbours()
    assert known[server.card.address] == server.card.mac
    assert known.get(thief.card.gateway) != thief.card.mac
    assert known[thief.card.address] == thief.card.mac
    with victim.open(socket.SOCK_DGRAM) as client, thief.open(socket.SOCK_DGRAM) as other:
        client.bind((victim.card.address, 68))
        with thief.open(socket.SOCK_DGRAM) as rogue:
            rogue.bind((thief.card.address, 67))
            rogue.sendto(b"an address for you", (victim.card.address, 68))
        other.sendto(b"hello", (victim.card.address, 68))
        assert client.recv(100) == b"hello"


async def test_the_way_out_and_none_in(site: Site) -> None:
    guest = await site.guest()
    link = f"rnvo{guest.name[-8:]}"
    with Namespace() as outside:
        ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", outside.name)
        ip("address", "add", "198.51.100.1/30", "dev", link)
        ip("link", "set", link, "up")
        outside.ip("address", "add", "198.51.100.2/30", "dev", "eth0")
        outside.ip("link", "set", "eth0", "up")
        outside.ip("route", "add", guest.card.cidr, "via", "198.51.100.1")
        with outside.listen("198.51.100.2", 80) as web, guest.listen(guest.card.address, 80):
            assert await reaches(guest, "198.51.100.2", 80)
            connection, (source, _) = web.accept()
            connection.close()
            assert source == "198.51.100.1", "outside sees the host"
            assert not await reaches(outside, guest.card.address, 80)
            assert not await reaches(outside, guest.card.gateway, 53)


async def test_dhcp_gives_each_card_its_address(site: Site) -> None:
    guest = await site.guest()
    given = await asyncio.to_thread(guest.lease)
    assert given is not None
    gateway = socket.inet_aton(guest.card.gateway)
    assert given[50] == socket.inet_aton(guest.card.address)
    assert given[6] == gateway
    assert given[121] == bytes([32, 169, 254, 169, 254]) + gateway + bytes([0]) + gateway


async def test_an_address_that_was_somebody_elses_is_given_to_its_new_owner(site: Site) -> None:
    first = await site.guest()
    assert await asyncio.to_thread(first.lease)
    site.stack.close()
    await site.world.ask(power.begin_delete)
    await site.world.work()
    second = await site.guest()
    assert second.card.address == first.card.address
    assert second.card.mac != first.card.mac
    given = await asyncio.to_thread(second.lease)
    assert given is not None
    assert given[50] == socket.inet_aton(second.card.address)


async def test_the_metadata_service_tells_each_guest_its_own(site: Site) -> None:
    one = await site.guest()
    first_id = site.world.server_id
    two = await site.guest()
    for guest, server_id in ((one, first_id), (two, site.world.server_id)):
        assert (await ask(guest, "/openstack/latest/meta_data.json")).json()["uuid"] == server_id
        assert (await ask(guest, "/2009-04-04/meta-data/instance-id")).text == server_id
        assert (await ask(guest, "/latest/meta-data/local-ipv4")).text == guest.card.address
        data = (await ask(guest, "/openstack/latest/network_data.json")).json()
        assert [network["ip_address"] for network in data["networks"]] == [guest.card.address]
        assert data["services"] == [{"type": "dns", "address": guest.card.gateway}]
    assert (await ask(one, "/openstack")).text.split() == ["2018-08-27", "2020-10-14", "latest"]
    assert (await ask(one, "/openstack/2038-01-01/meta_data.json")).status_code == 404
    assert (await ask(one, "/openstack/latest/user_data")).status_code == 404
    async with site.world.sessions.begin() as session:
        changed = update(Generation).where(Generation.server_id == first_id)
        await session.execute(
            changed.values(key_name="lap top", key_text="ssh-ed25519 AAAA", user_data="IyEvYmluL3No")
        )
    assert (await ask(one, "/latest/user-data")).text == "#!/bin/sh"
    assert (await ask(one, "/latest/meta-data/public-keys/")).text == "0=lap top"
    assert (await ask(one, "/latest/meta-data/public-keys/0/openssh-key")).text == "ssh-ed25519 AAAA"
    assert "placement/" in (await ask(one, "/latest/meta-data/")).text.split()
