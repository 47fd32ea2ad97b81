"""Key pairs over the API and a real database."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api_client import MadeUpTokens, api_client, configure

PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM+isJh/A/p3aaaGN/ZbaqN6oxCulmC+aSVO7m9MwWZz someone@somewhere"
FINGERPRINT = "4e:13:6e:9a:b8:ff:9d:1f:57:9c:09:c5:57:0d:de:c4"


@pytest.fixture
def tokens() -> MadeUpTokens:
    return MadeUpTokens()


@pytest.fixture
async def api(tmp_path: Path, database: str, tokens: MadeUpTokens) -> AsyncIterator[httpx.AsyncClient]:
    conf = configure(tmp_path, "[quota]\nkey_pairs = 3\n")
    async with api_client(conf, tokens, database=database) as client:
        client.headers.update(tokens.give("member"))
        yield client


def at(version: str, **more: str) -> dict[str, str]:
    return {"OpenStack-API-Version": f"compute {version}", **more}


async def make(
    api: httpx.AsyncClient, name: str = "mine", version: str = "2.1", headers: Any = None, **fields: Any
) -> httpx.Response:
    body = {"keypair": {"name": name, "public_key": PUBLIC, **fields}}
    body["keypair"] = {key: value for key, value in body["keypair"].items() if value is not ...}
    return await api.post("/v2.1/os-keypairs", json=body, headers=at(version, **(headers or {})))


async def names(api: httpx.AsyncClient, query: str = "", version: str = "2.35") -> list[str]:
    answer = await api.get(f"/v2.1/os-keypairs{query}", headers=at(version))
    assert answer.status_code == 200, answer.text
    return [entry["keypair"]["name"] for entry in answer.json()["keypairs"]]


async def test_import_show_list_and_delete(api: httpx.AsyncClient) -> None:
    answer = await make(api)
    assert answer.status_code == 200
    facts = {"name": "mine", "public_key": PUBLIC, "fingerprint": FINGERPRINT}
    assert answer.json() == {"keypair": {**facts, "user_id": "the-member"}}

    shown = (await api.get("/v2.1/os-keypairs/mine")).json()["keypair"]
    fixed = {"user_id": "the-member", "deleted": False, "deleted_at": None, "updated_at": None}
    assert shown == {**facts, **fixed, "id": shown["id"], "created_at": shown["created_at"]}
    assert (await api.get("/v2.1/os-keypairs")).json() == {"keypairs": [{"keypair": facts}]}

    assert (await api.delete("/v2.1/os-keypairs/mine")).status_code == 202
    answer = await api.get("/v2.1/os-keypairs/mine")
    assert answer.status_code == 404
    assert answer.json()["itemNotFound"]["message"] == "Keypair mine not found for user the-member"
    assert (await api.delete("/v2.1/os-keypairs/mine")).status_code == 404


async def test_a_generated_private_key_is_told_once(api: httpx.AsyncClient) -> None:
    made = (await make(api, public_key=...)).json()["keypair"]
    assert made["private_key"].startswith("-----BEGIN RSA PRIVATE KEY-----")
    assert made["public_key"].startswith("ssh-rsa ")
    shown = (await api.get("/v2.1/os-keypairs/mine")).json()["keypair"]
    assert "private_key" not in shown
    assert shown["public_key"] == made["public_key"]


async def test_type_and_honest_statuses_came_with_2_2(api: httpx.AsyncClient) -> None:
    assert (await make(api, type="ssh")).status_code == 400
    answer = await make(api, type="ssh", version="2.2")
    assert answer.status_code == 201
    assert answer.json()["keypair"]["type"] == "ssh"
    assert (await api.get("/v2.1/os-keypairs/mine", headers=at("2.2"))).json()["keypair"]["type"] == "ssh"
    assert (await api.delete("/v2.1/os-keypairs/mine", headers=at("2.2"))).status_code == 204


async def test_a_certificate_is_a_key_pair_too(api: httpx.AsyncClient) -> None:
    answer = await make(api, public_key=..., type="x509", version="2.2")
    assert answer.status_code == 201, answer.text
    made = answer.json()["keypair"]
    assert made["type"] == "x509"
    assert made["public_key"].startswith("-----BEGIN CERTIFICATE-----")
    again = await make(api, "copy", public_key=made["public_key"], type="x509", version="2.2")
    assert again.json()["keypair"]["fingerprint"] == made["fingerprint"]


async def test_anothers_keys_are_an_admins_since_2_10(api: httpx.AsyncClient, tokens: MadeUpTokens) -> None:
    admin = tokens.give("admin")
    await make(api)
    path = "/v2.1/os-keypairs/mine?user_id=the-member"
    # Before 2.10 the parameter is not known, so it is the admin's own that is looked for.
    assert (await api.get(path, headers=at("2.9", **admin))).status_code == 404
    assert (await api.get(path, headers=at("2.10", **admin))).status_code == 200
    assert (await api.get("/v2.1/os-keypairs?user_id=the-admin", headers=at("2.10"))).status_code == 403
    assert (await make(api, "gift", "2.10", user_id="the-admin")).status_code == 403
    assert (await make(api, "gift", "2.10", headers=admin, user_id="the-member")).status_code == 201
    assert await names(api) == ["gift", "mine"]
    assert (await api.delete(path, headers=at("2.10", **admin))).status_code == 204
    assert await names(api) == ["gift"]


async def test_users_of_one_project_do_not_share_keys(api: httpx.AsyncClient, tokens: MadeUpTokens) -> None:
    await make(api)
    colleague = tokens.give("member", user_id="a-colleague")
    assert (await api.get("/v2.1/os-keypairs/mine", headers=colleague)).status_code == 404
    assert (await make(api, headers=colleague)).status_code == 200


async def test_pages_came_with_2_35(api: httpx.AsyncClient) -> None:
    for name in ("b", "a", "c"):
        await make(api, name)
    assert await names(api, "?limit=1", "2.34") == ["a", "b", "c"]
    answer = await api.get("/v2.1/os-keypairs?limit=2", headers=at("2.35"))
    assert [entry["keypair"]["name"] for entry in answer.json()["keypairs"]] == ["a", "b"]
    (link,) = answer.json()["keypairs_links"]
    assert link == {"rel": "next", "href": "http://nova.example/v2.1/os-keypairs?limit=2&marker=b"}
    assert await names(api, "?limit=2&marker=b") == ["c"]
    answer = await api.get("/v2.1/os-keypairs?marker=z", headers=at("2.35"))
    assert answer.status_code == 400


async def test_a_name_is_taken_once(api: httpx.AsyncClient) -> None:
    await make(api)
    answer = await make(api)
    assert answer.status_code == 409
    assert answer.json()["conflictingRequest"]["message"] == "Key pair 'mine' already exists."


async def test_quota_holds_when_many_ask_at_once(api: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(make(api, f"key-{number}") for number in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [403] * 3
    refused = next(answer for answer in answers if answer.status_code == 403)
    assert refused.json()["forbidden"]["message"] == "Quota exceeded, too many key pairs."
    assert len(await names(api)) == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "x" * 256},
        {"name": " x"},
        {"name": "a/b"},
        {"name": "ü"},
        {"name": 3},
        {"name": ...},
        {"public_key": ""},
        {"public_key": None},
        {"public_key": "ssh-rsa nonsense"},
        {"public_key": 3},
        {"type": "x509"},
        {"type": "dsa"},
        {"colour": "red"},
    ],
)
async def test_what_is_refused(api: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    answer = await make(api, version="2.2", **{"name": "mine", **fields})
    assert answer.status_code == 400, answer.text
    assert await names(api) == []


async def test_a_name_is_told_to_be_wrong_in_novas_words(api: httpx.AsyncClient) -> None:
    message = (await make(api, "a/b")).json()["badRequest"]["message"]
    assert message == (
        "Invalid input for field/attribute name. Value: a/b. 'a/b' does not match '^[_\\\\- a-zA-Z0-9]+$'"
    )


async def test_from_2_92_on_keys_are_only_imported_and_names_are_wider(api: httpx.AsyncClient) -> None:
    refused = await make(api, public_key=..., version="2.92")
    assert refused.status_code == 400
    assert "'public_key' is a required property" in refused.json()["badRequest"]["message"]
    assert (await make(api, "me@example.org", "2.91")).status_code == 400
    assert (await make(api, "me@example.org", "2.92")).json()["keypair"]["name"] == "me@example.org"
    refused = await api.get("/v2.1/os-keypairs?nonesuch=1", headers=at("2.75"))
    assert refused.status_code == 400
