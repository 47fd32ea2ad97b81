"""Quota sets over the API, and that what an admin sets is what counts."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api_client import PROJECT
from tests.functional.api_without_agent import Api, api_without_agent

MINE = f"/os-quota-sets/{PROJECT}"
DEFAULTS = {
    "instances": 10,
    "cores": 7,
    "ram": 51200,
    "metadata_items": 128,
    "key_pairs": 100,
    "server_groups": 10,
    "server_group_members": 10,
    "injected_files": 5,
    "injected_file_content_bytes": 10240,
    "injected_file_path_bytes": 255,
    "fixed_ips": -1,
    "floating_ips": -1,
    "security_groups": -1,
    "security_group_rules": -1,
}
ADDRESSES = {"fixed_ips", "floating_ips", "security_groups", "security_group_rules"}
FILES = {"injected_files", "injected_file_content_bytes", "injected_file_path_bytes"}


@pytest.fixture
async def api(tmp_path: Path, database: str) -> AsyncIterator[Api]:
    async with api_without_agent(database, tmp_path, "[quota]\ncores = 7\n") as api:
        yield api


async def put(api: Api, limits: dict[str, Any], query: str = "", **how: Any) -> Any:
    return await api.call("PUT", MINE + query, {"quota_set": limits}, **{"who": api.admin, **how})


async def shown(api: Api, path: str = "", **how: Any) -> dict[str, Any]:
    quota_set: dict[str, Any] = (await api.get(MINE + path, who=api.reader, **how))["quota_set"]
    return quota_set


async def test_a_reader_sees_the_quotas_of_the_project(api: Api) -> None:
    assert await shown(api) == {"id": PROJECT} | DEFAULTS
    assert await shown(api, "/defaults") == {"id": PROJECT} | DEFAULTS
    # Users have what their project has.
    assert await shown(api, "?user_id=the-reader") == {"id": PROJECT} | DEFAULTS


@pytest.mark.parametrize(
    ("version", "gone"),
    [
        ("2.35", set()),
        ("2.36", ADDRESSES),
        ("2.50", ADDRESSES),
        ("2.56", ADDRESSES),
        ("2.57", ADDRESSES | FILES),
    ],
)
async def test_what_a_network_service_limits_goes_and_then_files(
    api: Api, version: str, gone: set[str]
) -> None:
    for path in ("", "/defaults", "/detail"):
        assert {*DEFAULTS, "id"} - (await shown(api, path, version=version)).keys() == gone
    for name in DEFAULTS:
        answer = await put(api, {name: -1}, version=version)
        assert answer.status_code == (400 if name in gone else 200), name
        if name in gone:
            message = f"Additional properties are not allowed ('{name}' was unexpected)"
            assert message in answer.json()["badRequest"]["message"]


async def test_what_an_admin_sets_is_shown_and_delete_brings_the_defaults_back(api: Api) -> None:
    answer = await put(api, {"cores": 50, "ram": "-1", "floating_ips": 3})
    changed = DEFAULTS | {"cores": 50, "ram": -1, "floating_ips": 3}
    assert answer.status_code == 200
    assert answer.json() == {"quota_set": changed}
    assert await shown(api) == {"id": PROJECT} | changed
    assert await shown(api, "/defaults") == {"id": PROJECT} | DEFAULTS
    limits = (await api.get("/limits"))["limits"]["absolute"]
    assert (limits["maxTotalCores"], limits["maxTotalRAMSize"], limits["maxTotalFloatingIps"]) == (50, -1, 3)
    other = await api.get(f"/os-quota-sets/{'f' * 32}", who=api.admin)
    assert other["quota_set"]["cores"] == 7
    assert (await api.call("DELETE", MINE, who=api.admin)).status_code == 202
    assert await shown(api) == {"id": PROJECT} | DEFAULTS


async def test_a_quota_that_an_admin_set_is_the_one_that_counts(api: Api) -> None:
    assert (
        await put(api, {"instances": 1, "key_pairs": 1, "metadata_items": 1, "injected_files": 0})
    ).is_success
    server_id = await api.new()
    body: dict[str, Any] = {"server": {"name": "b", "imageRef": api.image, "flavorRef": "1"}}
    answer = await api.call("POST", "/servers", body)
    assert answer.status_code == 403
    assert answer.json()["forbidden"]["message"] == (
        "Quota exceeded for instances: Requested 1, but already used 1 of 1 instances"
    )
    # One key pair is there already.
    assert (await api.call("POST", "/os-keypairs", {"keypair": {"name": "b"}})).status_code == 403
    path = f"/servers/{server_id}/metadata"
    assert (await api.call("POST", path, {"metadata": {"a": "1"}})).status_code == 200
    assert (await api.call("POST", path, {"metadata": {"b": "1"}})).status_code == 403
    file = {"path": "/a", "contents": "YQ=="}
    rebuild = {"imageRef": api.image, "personality": [file]}
    assert (await api.act(server_id, "rebuild", rebuild)).status_code == 403
    assert (await put(api, {"instances": 2})).is_success
    body["server"]["personality"] = [file]
    assert (await api.call("POST", "/servers", body)).status_code == 403
    del body["server"]["personality"]
    assert (await api.call("POST", "/servers", body)).status_code == 202


async def test_detail_tells_what_is_in_use(api: Api) -> None:
    await api.new()
    detail = await shown(api, "/detail")
    assert detail["instances"] == {"limit": 10, "in_use": 1, "reserved": 0}
    assert detail["cores"] == {"limit": 7, "in_use": 1, "reserved": 0}
    assert detail["ram"] == {"limit": 51200, "in_use": 128, "reserved": 0}
    assert detail["metadata_items"] == {"limit": 128, "in_use": 0, "reserved": 0}
    assert (await shown(api, "/detail?user_id=the-reader"))["cores"]["in_use"] == 0


async def test_no_less_than_is_in_use_unless_forced(api: Api) -> None:
    await api.new()
    answer = await put(api, {"ram": 100, "instances": 50})
    assert answer.status_code == 400
    assert answer.json()["badRequest"]["message"] == (
        "Quota limit 100 for ram must be greater than or equal to already used and reserved 128."
    )
    assert (await shown(api))["instances"] == 10
    assert (await put(api, {"ram": 100, "force": "true"})).json()["quota_set"]["ram"] == 100


@pytest.mark.parametrize("value", [-2, 2147483648, "x", "", None, 1.5, True, "9" * 5000])
async def test_what_is_no_limit_is_refused(api: Api, value: Any) -> None:
    answer = await put(api, {"cores": value})
    assert answer.status_code == 400
    assert "Invalid input for field/attribute cores" in answer.json()["badRequest"]["message"]


async def test_who_may_do_what(api: Api) -> None:
    for path in ("", "/detail"):
        assert (await api.call("GET", MINE + path, who=api.stranger, prefix="/v2.1")).status_code == 403
    assert (await put(api, {"cores": 1}, who=api.member)).status_code == 403
    assert (await api.call("DELETE", MINE, who=api.member)).status_code == 403
    for answer in (
        await put(api, {"cores": 1}, "?user_id=somebody"),
        await api.call("DELETE", f"{MINE}?user_id=somebody", who=api.admin),
    ):
        assert answer.status_code == 400
        assert "of a single user" in answer.json()["badRequest"]["message"]
