"""Flavors over the API and a real database: seen, paged, filtered, made and deleted."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from renova.compute.flavors import SORT_COLUMNS
from renova.db.session import Sessions
from renova.db.tables import Flavor
from tests.api_client import MadeUpTokens, api_client, configure

NEW = {"name": "big", "id": "b", "ram": 4096, "vcpus": 4, "disk": 40}


@pytest.fixture
def tokens() -> MadeUpTokens:
    return MadeUpTokens()


@pytest.fixture
async def api(tmp_path: Path, database: str, tokens: MadeUpTokens) -> AsyncIterator[httpx.AsyncClient]:
    async with api_client(configure(tmp_path), tokens, database=database) as client:
        client.headers.update(tokens.give("member"))
        yield client


@pytest.fixture
def admin(tokens: MadeUpTokens) -> dict[str, str]:
    return tokens.give("admin")


async def create(api: httpx.AsyncClient, admin: dict[str, str], **fields: Any) -> httpx.Response:
    return await api.post("/v2.1/flavors", json={"flavor": {**NEW, **fields}}, headers=admin)


def at(version: str) -> dict[str, str]:
    return {"OpenStack-API-Version": f"compute {version}"}


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [flavor["id"] for flavor in answer.json()["flavors"]]


async def test_a_fresh_cloud_has_flavors(api: httpx.AsyncClient) -> None:
    flavors = (await api.get("/v2.1/flavors/detail")).json()["flavors"]
    assert flavors[0] == {
        "id": "1",
        "name": "m1.nano",
        "ram": 128,
        "disk": 1,
        "vcpus": 1,
        "swap": "",
        "OS-FLV-EXT-DATA:ephemeral": 0,
        "OS-FLV-DISABLED:disabled": False,
        "os-flavor-access:is_public": True,
        "rxtx_factor": 1.0,
        "links": [
            {"rel": "self", "href": "http://nova.example/v2.1/flavors/1"},
            {"rel": "bookmark", "href": "http://nova.example/flavors/1"},
        ],
    }
    brief = (await api.get("/v2.1/flavors")).json()["flavors"]
    assert {frozenset(flavor) for flavor in brief} == {frozenset({"id", "name", "links"})}
    assert [flavor["id"] for flavor in brief] == [flavor["id"] for flavor in flavors]


async def test_description_came_with_2_55(api: httpx.AsyncClient, admin: dict[str, str]) -> None:
    new = {**NEW, "description": "for games"}
    early, late = ({**admin, "OpenStack-API-Version": f"compute 2.{minor}"} for minor in (54, 55))
    assert (await api.post("/v2.1/flavors", json={"flavor": new}, headers=early)).status_code == 400
    answer = await api.post("/v2.1/flavors", json={"flavor": new}, headers=late)
    assert answer.json()["flavor"]["description"] == "for games"
    assert "description" not in (await api.get("/v2.1/flavors/b", headers=early)).json()["flavor"]
    changed = {"flavor": {"description": None}}
    assert (await api.put("/v2.1/flavors/b", json=changed, headers=early)).status_code == 404
    answer = await api.put("/v2.1/flavors/b", json=changed, headers=late)
    assert answer.json()["flavor"]["description"] is None
    assert (await api.put("/v2.1/flavors/no", json=changed, headers=late)).status_code == 404
    member = {"OpenStack-API-Version": "compute 2.55"}
    assert (await api.put("/v2.1/flavors/b", json=changed, headers=member)).status_code == 403
    for flavor in (await api.get("/v2.1/flavors", headers=late)).json()["flavors"]:
        assert flavor["description"] is None


async def test_pages_lead_through_all(api: httpx.AsyncClient) -> None:
    every = ids(await api.get("/v2.1/flavors"))
    seen: list[str] = []
    address = "/v2.1/flavors/detail?limit=3"
    while address:
        answer = await api.get(address)
        seen += ids(answer)
        address = "".join(link["href"] for link in answer.json().get("flavors_links", []))
    assert seen == every


async def test_pages_in_an_order_with_ties(api: httpx.AsyncClient) -> None:
    address = "/v2.1/flavors?sort_key=vcpus&sort_dir=desc&limit=1"
    seen: list[str] = []
    while len(page := ids(answer := await api.get(address))) == 1:
        seen += page
        address = answer.json()["flavors_links"][0]["href"]
    assert seen == ids(await api.get("/v2.1/flavors?sort_key=vcpus&sort_dir=desc"))
    assert seen[0] == "4"


async def test_pages_where_the_key_is_null(api: httpx.AsyncClient, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await session.execute(update(Flavor).where(Flavor.id == "2").values(description="b"))
        await session.execute(update(Flavor).where(Flavor.id == "3").values(description="a"))
    for direction in ("asc", "desc"):
        order = f"/v2.1/flavors?sort_key=description&sort_dir={direction}"
        whole = ids(await api.get(order))
        assert len(whole) == 4
        assert whole[2:] == ["3", "2"] or whole[:2] == ["2", "3"]
        for position, marker in enumerate(whole):
            assert ids(await api.get(f"{order}&marker={marker}")) == whole[position + 1 :]


async def test_a_row_that_a_filter_leaves_out_marks_its_place(api: httpx.AsyncClient) -> None:
    assert ids(await api.get("/v2.1/flavors?minRam=512&marker=2")) == ["3", "4"]


async def test_pages_by_each_sort_key(api: httpx.AsyncClient) -> None:
    for key in SORT_COLUMNS:
        for direction in ("asc", "desc"):
            order = f"/v2.1/flavors?sort_key={key}&sort_dir={direction}"
            whole = ids(await api.get(order))
            assert ids(await api.get(f"{order}&marker={whole[1]}")) == whole[2:]


async def test_filters(api: httpx.AsyncClient) -> None:
    assert ids(await api.get("/v2.1/flavors?minRam=512")) == ["3", "4"]
    assert ids(await api.get("/v2.1/flavors?minDisk=20&minRam=512")) == ["4"]
    assert ids(await api.get(f"/v2.1/flavors?minRam={2**40}")) == []
    assert ids(await api.get(f"/v2.1/flavors?minDisk={-(2**40)}")) == ["1", "2", "3", "4"]
    assert ids(await api.get("/v2.1/flavors?unknown=x")) == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("minRam=x", "Invalid minRam filter [x]"),
        ("minDisk=x", "Invalid minDisk filter [x]"),
        ("marker=none", "marker [none] not found"),
        ("sort_key=colour", "Invalid input for query parameters sort_key. Value: colour."),
        ("sort_dir=up", "Invalid input for query parameters sort_dir. Value: up."),
        ("minRam=a%00", "A query parameter has a NUL in it."),
    ],
)
async def test_bad_parameters(api: httpx.AsyncClient, query: str, message: str) -> None:
    answer = await api.get(f"/v2.1/flavors?{query}")
    assert answer.status_code == 400
    assert answer.json()["badRequest"]["message"].startswith(message)


async def test_one_that_is_not_public_is_an_admins(api: httpx.AsyncClient, admin: dict[str, str]) -> None:
    answer = await create(api, admin, **{"os-flavor-access:is_public": False})
    assert answer.status_code == 200, answer.text
    assert (await api.get("/v2.1/flavors/b", headers=admin)).status_code == 200
    assert (await api.get("/v2.1/flavors/b")).status_code == 404
    assert "b" not in ids(await api.get("/v2.1/flavors?is_public=none"))
    assert ids(await api.get("/v2.1/flavors?is_public=False", headers=admin)) == ["b"]
    assert ids(await api.get("/v2.1/flavors?is_public=none", headers=admin)) == ["1", "2", "3", "4", "b"]
    assert "b" not in ids(await api.get("/v2.1/flavors", headers=admin))
    answer = await api.get("/v2.1/flavors?is_public=perhaps", headers=admin)
    assert answer.json()["badRequest"]["message"] == "Invalid is_public filter [perhaps]"


async def test_an_admin_makes_one_and_deletes_it(api: httpx.AsyncClient, admin: dict[str, str]) -> None:
    answer = await create(api, admin, id=None, ram="512", swap=16, rxtx_factor="2.5")
    flavor = answer.json()["flavor"]
    assert (flavor["ram"], flavor["swap"], flavor["rxtx_factor"]) == (512, 16, 2.5)
    path = f"/v2.1/flavors/{flavor['id']}"
    assert (await api.get(path)).json()["flavor"] == flavor
    assert (await api.delete(path, headers=admin)).status_code == 202
    answer = await api.get(path)
    assert answer.status_code == 404
    assert answer.json()["itemNotFound"]["message"] == f"Flavor {flavor['id']} could not be found."
    assert (await api.delete(path, headers=admin)).status_code == 404


async def test_a_member_makes_and_deletes_none(api: httpx.AsyncClient) -> None:
    assert (await create(api, {})).status_code == 403
    assert (await api.delete("/v2.1/flavors/1")).status_code == 403
    assert ids(await api.get("/v2.1/flavors")) == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": "1"}, "Flavor with ID 1 already exists."),
        ({"name": "m1.nano"}, "Flavor with name m1.nano already exists."),
        ({"id": "name", "name": "m1.nano"}, "Flavor with name m1.nano already exists."),
    ],
)
async def test_what_is_taken(
    api: httpx.AsyncClient, admin: dict[str, str], fields: dict[str, Any], message: str
) -> None:
    answer = await create(api, admin, **fields)
    assert answer.status_code == 409
    assert answer.json()["conflictingRequest"]["message"] == message


@pytest.mark.parametrize(
    "fields",
    [
        {"ram": 0},
        {"ram": 2**31},
        {"ram": "9" * 5000},
        {"vcpus": -1},
        {"vcpus": True},
        {"disk": "x"},
        {"name": ""},
        {"name": "x" * 256},
        {"id": " x"},
        {"id": ""},
        {"id": []},
        {"rxtx_factor": 0},
        {"rxtx_factor": "x"},
        {"swap": None},
        {"os-flavor-access:is_public": "perhaps"},
        {"colour": "red"},
    ],
)
async def test_what_is_refused(api: httpx.AsyncClient, admin: dict[str, str], fields: dict[str, Any]) -> None:
    answer = await create(api, admin, **fields)
    assert answer.status_code == 400, answer.text
    assert ids(await api.get("/v2.1/flavors")) == ["1", "2", "3", "4"]


async def test_extra_specs(api: httpx.AsyncClient, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await session.execute(update(Flavor).where(Flavor.id == "1").values(extra_specs={"hw:x": "1"}))
    assert (await api.get("/v2.1/flavors/1/os-extra_specs")).json() == {"extra_specs": {"hw:x": "1"}}
    assert (await api.get("/v2.1/flavors/1/os-extra_specs/hw:x")).json() == {"hw:x": "1"}
    answer = await api.get("/v2.1/flavors/1/os-extra_specs/no")
    assert answer.json()["itemNotFound"]["message"] == "Flavor 1 has no extra specs with key no."


# doc/api_samples/flavors/v2.61, v2.75 and v2.102, flavor-get-resp.json
async def test_what_microversions_change_in_a_flavor(
    api: httpx.AsyncClient, admin: dict[str, str], sessions: Sessions
) -> None:
    async with sessions.begin() as session:
        await session.execute(update(Flavor).where(Flavor.id == "1").values(extra_specs={"hw:x": "1"}))

    async def shown(version: str, path: str = "/v2.1/flavors/1") -> dict[str, Any]:
        flavor: dict[str, Any] = (await api.get(path, headers=at(version))).json()["flavor"]
        return flavor

    oldest, specs, swap, newest = [await shown(v) for v in ("2.60", "2.61", "2.75", "2.102")]
    assert specs == oldest | {"extra_specs": {"hw:x": "1"}}
    assert (specs["swap"], swap) == ("", specs | {"swap": 0})
    gone = {"rxtx_factor", "OS-FLV-DISABLED:disabled"}
    assert newest == {name: value for name, value in swap.items() if name not in gone}
    detail = (await api.get("/v2.1/flavors/detail", headers=at("2.102"))).json()["flavors"]
    assert detail[0] == newest
    (brief, *_) = (await api.get("/v2.1/flavors", headers=at("2.102"))).json()["flavors"]
    assert brief.keys() == {"id", "name", "links", "description"}

    body = {"flavor": {**NEW, "rxtx_factor": 2.0}}
    refused = await api.post("/v2.1/flavors", json=body, headers=admin | at("2.102"))
    assert "('rxtx_factor' was unexpected)" in refused.json()["badRequest"]["message"]
    made = await api.post("/v2.1/flavors", json=body, headers=admin | at("2.101"))
    assert (made.json()["flavor"]["rxtx_factor"], made.json()["flavor"]["extra_specs"]) == (2.0, {})
    described = {"flavor": {"description": "new"}}
    changed = await api.put("/v2.1/flavors/b", json=described, headers=admin | at("2.102"))
    assert changed.json()["flavor"] == await shown("2.102", "/v2.1/flavors/b")


async def test_names_filter_from_2_102_on(api: httpx.AsyncClient) -> None:
    everything = ids(await api.get("/v2.1/flavors", headers=at("2.101")))
    assert ids(await api.get("/v2.1/flavors?name=na%2Bno$", headers=at("2.102"))) == ["1"]
    assert ids(await api.get("/v2.1/flavors?name=nano", headers=at("2.74"))) == everything
    for query, version in (
        *(("name=nano", "2.101"), ("nonesuch=1", "2.75")),
        *(("name=(", "2.102"), ("sort_key=rxtx_factor", "2.102")),
    ):
        answer = await api.get(f"/v2.1/flavors?{query}", headers=at(version))
        assert answer.status_code == 400, query
