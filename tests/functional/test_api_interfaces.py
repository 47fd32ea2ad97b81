"""Networks, addresses and cards as a client asks for them. No guest runs here."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from renova.compute.networks import MOST_PORTS
from renova.db.tables import Network, Port
from tests.functional.api_without_agent import Api, api_without_agent

NOWHERE = "2f8c0f0e-0000-4000-8000-00000000ffff"


@pytest.fixture
async def api(tmp_path: Path, database: str) -> AsyncIterator[Api]:
    async with api_without_agent(database, tmp_path) as api:
        yield api


@pytest.fixture
async def off(api: Api) -> str:
    """The id of a server that is off."""
    server_id = await api.new()
    await api.set(server_id, vm_state="stopped")
    return server_id


async def interfaces(api: Api, server_id: str) -> list[dict[str, Any]]:
    cards: list[dict[str, Any]] = (await api.get(f"/servers/{server_id}/os-interface"))[
        "interfaceAttachments"
    ]
    return cards


def message(answer: Any) -> str:
    (fault,) = answer.json().values()
    return str(fault["message"])


def address_of(card: dict[str, Any]) -> str:
    (fixed,) = card["fixed_ips"]
    return str(fixed["ip_address"])


async def attach(api: Api, server_id: str, **wanted: Any) -> Any:
    body = {"interfaceAttachment": wanted} if wanted else {}
    return await api.call("POST", f"/servers/{server_id}/os-interface", body)


async def test_several_cards_in_the_order_of_the_request(api: Api) -> None:
    (private,) = await interfaces(api, await api.new())
    network = private["net_id"]
    async with api.sessions.begin() as session:
        session.add(Network(id=NOWHERE, label="storage", cidr="10.99.0.0/24"))
    wanted = [{"uuid": NOWHERE, "fixed_ip": "10.99.0.77"}, {"uuid": network}, {"uuid": network}]
    server_id = await api.new(networks=wanted)
    cards = await interfaces(api, server_id)
    assert [card["net_id"] for card in cards] == [NOWHERE, network, network]
    assert address_of(cards[0]) == "10.99.0.77"
    assert len({address_of(card) for card in cards} | {address_of(private)}) == 4
    assert len({card["mac_addr"] for card in cards}) == 3
    addresses = (await api.get(f"/servers/{server_id}/ips"))["addresses"]
    assert {label: len(of_label) for label, of_label in addresses.items()} == {"storage": 1, "private": 2}


@pytest.mark.parametrize("address", ["10.77.0.0", "10.77.0.1", "10.77.255.255", "192.0.2.1", "2001:db8::1"])
async def test_an_address_that_no_server_may_have(api: Api, address: str) -> None:
    (private,) = await interfaces(api, await api.new())
    before = await api.rows()
    server = {"name": "w", "imageRef": api.image, "flavorRef": "1"}
    wanted = [{"uuid": private["net_id"], "fixed_ip": address}]
    answer = await api.call("POST", "/servers", {"server": {**server, "networks": wanted}})
    assert answer.status_code == 400
    assert f"Fixed IP address {address} is not a valid ip address" in message(answer)
    assert await api.rows() == before


async def test_no_address_twice_however_many_ask_at_once(api: Api) -> None:
    servers = await asyncio.gather(*(api.new(str(number), finished=False) for number in range(6)))
    cards = [card for server_id in servers for card in await interfaces(api, server_id)]
    assert len({address_of(card) for card in cards}) == 6
    taken = {"uuid": cards[0]["net_id"], "fixed_ip": address_of(cards[0])}
    server = {"name": "w", "imageRef": api.image, "flavorRef": "1", "networks": [taken]}
    answer = await api.call("POST", "/servers", {"server": server})
    assert answer.status_code == 400
    assert message(answer) == f"Fixed IP address {taken['fixed_ip']} is already in use on instance."


async def test_a_card_is_added_and_taken_away_while_the_server_is_off(api: Api, off: str) -> None:
    (first,) = await interfaces(api, off)
    added = await attach(api, off)
    assert added.status_code == 200
    card = added.json()["interfaceAttachment"]
    assert await interfaces(api, off) == [first, card]
    wanted = {"net_id": first["net_id"], "fixed_ips": [{"ip_address": "10.77.0.99"}]}
    assert (await attach(api, off, **wanted)).json()["interfaceAttachment"]["fixed_ips"][0][
        "ip_address"
    ] == "10.77.0.99"
    path = f"/servers/{off}/os-interface/{first['port_id']}"
    assert (await api.call("DELETE", path)).status_code == 202
    assert (await api.call("DELETE", path)).status_code == 404
    assert [address_of(left) for left in await interfaces(api, off)] == [address_of(card), "10.77.0.99"]
    names = {
        row["action"] for row in (await api.get(f"/servers/{off}/os-instance-actions"))["instanceActions"]
    }
    assert names == {"create", "attach_interface", "detach_interface"}


@pytest.mark.parametrize(
    ("wanted", "status", "said"),
    [
        ({"net_id": NOWHERE}, 400, f"Network {NOWHERE} could not be found."),
        ({"port_id": NOWHERE}, 404, f"Port id {NOWHERE} could not be found."),
        ({"net_id": NOWHERE, "port_id": NOWHERE}, 400, "Must not input both network_id and port_id"),
        ({"fixed_ips": [{"ip_address": "10.0.0.1"}]}, 400, "Must input network_id when request IP address"),
        ({"fixed_ips": []}, 400, "Invalid input for field/attribute fixed_ips"),
        ({"tag": "a"}, 400, "Additional properties are not allowed ('tag' was unexpected)"),
    ],
)
async def test_what_is_no_card(api: Api, off: str, wanted: Any, status: int, said: str) -> None:
    before = await api.rows()
    answer = await attach(api, off, **wanted)
    assert answer.status_code == status
    assert said in message(answer)
    assert await api.rows() == before


async def test_when_cards_stay_as_they_are(api: Api, off: str) -> None:
    (card,) = await interfaces(api, off)
    path = f"/servers/{off}/os-interface/{card['port_id']}"
    stranger = await api.call("DELETE", f"/servers/{off}/os-interface/{NOWHERE}")
    assert (stranger.status_code, message(stranger)) == (404, f"Port id {NOWHERE} could not be found.")
    assert (await api.call("DELETE", path, who=api.reader)).status_code == 403
    await api.set(off, vm_state="active")
    added, taken = await attach(api, off), await api.call("DELETE", path)
    assert added.status_code == 409
    assert message(added) == f"Cannot 'attach_interface' instance {off} while it is in vm_state active"
    assert (taken.status_code, message(taken)) == (501, "The requested functionality is not supported.")
    for change in ({"task_state": "rebuilding"}, {"task_state": None, "locked_by": "owner"}):
        await api.set(off, vm_state="stopped", **change)
        assert (await attach(api, off)).status_code == 409
        assert (await api.call("DELETE", path)).status_code == 409
    assert await interfaces(api, off) == [card]


async def test_a_server_has_so_many_cards_and_no_more(api: Api, off: str) -> None:
    for _ in range(MOST_PORTS - 1):
        assert (await attach(api, off)).status_code == 200
    answer = await attach(api, off)
    assert (answer.status_code, message(answer)) == (403, "Maximum number of ports exceeded")


async def test_where_a_guest_on_a_user_network_is_reached(api: Api, off: str) -> None:
    path = f"/servers/{off}/forwarded-ports"
    assert await api.get(path, who=api.reader) == {"forwarded_ports": []}
    async with api.sessions.begin() as session:
        await session.execute(update(Port).where(Port.server_id == off).values(ssh_port=20022))
    (card,) = await interfaces(api, off)
    assert (await api.get(path))["forwarded_ports"] == [
        {
            "port_id": card["port_id"],
            "host_address": "127.0.0.1",
            "host_port": 20022,
            "guest_address": address_of(card),
            "guest_port": 22,
        }
    ]


async def test_a_network_by_its_name_as_the_ordinary_client_looks_for_it(api: Api) -> None:
    (network,) = (await api.get("/os-networks", who=api.reader))["networks"]
    assert (network["label"], network["cidr"], network["gateway"]) == ("private", "10.77.0.0/16", "10.77.0.1")
    assert (network["netmask"], network["broadcast"]) == ("255.255.0.0", "10.77.255.255")
    assert await api.get(f"/os-networks/{network['id']}", version="2.35") == {"network": network}
    (card,) = await interfaces(api, await api.new(networks=[{"uuid": network["id"]}]))
    assert card["net_id"] == network["id"]
    missing = await api.call("GET", "/os-networks/private")
    assert (missing.status_code, message(missing)) == (404, "Network private could not be found.")
    assert (await api.call("GET", "/os-networks", version="2.36")).status_code == 404
