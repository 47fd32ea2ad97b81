"""Flavors that are only for some projects, and extra specs that admins write."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api_client import PROJECT
from tests.functional.api_without_agent import Api, api_without_agent


@pytest.fixture
async def api(tmp_path: Path, database: str) -> AsyncIterator[Api]:
    async with api_without_agent(database, tmp_path) as api:
        flavor = {"id": "p", "name": "private", "ram": 128, "vcpus": 1, "disk": 1}
        body = {"flavor": flavor | {"os-flavor-access:is_public": False}}
        assert (await api.call("POST", "/flavors", body, who=api.admin)).status_code == 200
        yield api


async def act(api: Api, name: str, tenant: Any = PROJECT, flavor: str = "p", **how: Any) -> Any:
    body = {name: {"tenant": tenant}}
    return await api.call("POST", f"/flavors/{flavor}/action", body, **{"who": api.admin, **how})


def message(answer: Any) -> str:
    (fault,) = answer.json().values()
    return str(fault["message"])


async def ids(api: Api, query: str = "", **how: Any) -> set[str]:
    return {flavor["id"] for flavor in (await api.get(f"/flavors{query}", **how))["flavors"]}


async def test_a_flavor_is_given_to_a_project_and_taken_back(api: Api) -> None:
    new = {"server": {"name": "a", "imageRef": api.image, "flavorRef": "p"}}
    assert "p" not in await ids(api)
    assert (await api.call("POST", "/servers", new)).status_code == 400
    given = await act(api, "addTenantAccess")
    access = {"flavor_access": [{"flavor_id": "p", "tenant_id": PROJECT}]}
    assert (given.status_code, given.json()) == (200, access)
    assert await api.get("/flavors/p/os-flavor-access", who=api.admin) == access
    assert "p" in await ids(api)
    assert "p" in await ids(api, who=api.admin)
    assert (await api.get("/flavors/p"))["flavor"]["os-flavor-access:is_public"] is False
    assert (await api.call("POST", "/servers", new)).status_code == 202
    stranger = await api.call("GET", "/flavors/p", who=api.stranger, prefix="/v2.1")
    assert stranger.status_code == 404
    taken = await act(api, "removeTenantAccess")
    assert (taken.status_code, taken.json()) == (200, {"flavor_access": []})
    assert "p" not in await ids(api)


async def test_what_stands_against_it(api: Api) -> None:
    for name, flavor, status, said in (
        ("removeTenantAccess", "p", 404, f"Flavor access not found for p / {PROJECT} combination."),
        ("addTenantAccess", "nowhere", 404, "Flavor nowhere could not be found."),
    ):
        answer = await act(api, name, flavor=flavor)
        assert (answer.status_code, message(answer)) == (status, said)
    await act(api, "addTenantAccess")
    again = await act(api, "addTenantAccess")
    assert again.status_code == 409
    assert message(again) == (f"Flavor access already exists for flavor p and project {PROJECT} combination.")
    for wrong in ("", None, 1, "x" * 256):
        assert (await act(api, "addTenantAccess", wrong)).status_code == 400
    for name in ("addTenantAccess", "removeTenantAccess"):
        assert (await act(api, name, who=api.member)).status_code == 403
    assert (await api.call("GET", "/flavors/p/os-flavor-access")).status_code == 403


async def test_a_public_flavor_is_everybodys(api: Api) -> None:
    listed = await api.call("GET", "/flavors/1/os-flavor-access", who=api.admin)
    assert (listed.status_code, message(listed)) == (404, "Access list not available for public flavors.")
    assert (await act(api, "addTenantAccess", flavor="1", version="2.6")).status_code == 200
    refused = await act(api, "addTenantAccess", "other", flavor="1", version="2.7")
    assert (refused.status_code, message(refused)) == (409, "Can not add access to a public flavor.")


async def test_a_flavor_that_goes_takes_its_list_along(api: Api) -> None:
    await act(api, "addTenantAccess")
    assert (await api.call("DELETE", "/flavors/p", who=api.admin)).status_code == 202


async def test_an_admin_writes_extra_specs(api: Api) -> None:
    path = "/flavors/1/os-extra_specs"
    added = await api.call("POST", path, {"extra_specs": {"hw:a": "1", "n": 5}}, who=api.admin)
    assert (added.status_code, added.json()) == (200, {"extra_specs": {"hw:a": "1", "n": 5}})
    changed = await api.call("PUT", f"{path}/hw:a", {"hw:a": "2"}, who=api.admin)
    assert (changed.status_code, changed.json()) == (200, {"hw:a": "2"})
    assert await api.get(path) == {"extra_specs": {"hw:a": "2", "n": "5"}}
    assert (await api.call("DELETE", f"{path}/n", who=api.admin)).status_code == 200
    gone = await api.call("DELETE", f"{path}/n", who=api.admin)
    assert (gone.status_code, message(gone)) == (404, "Flavor 1 has no extra specs with key n.")
    assert await api.get(path) == {"extra_specs": {"hw:a": "2"}}


@pytest.mark.parametrize(
    ("method", "rest", "body", "said"),
    [
        ("POST", "", {}, "'extra_specs' is a required property"),
        ("POST", "", {"extra_specs": {"a": None}}, "None is not of type 'string', 'number'"),
        ("POST", "", {"extra_specs": {"a": True}}, "True is not of type 'string', 'number'"),
        ("POST", "", {"extra_specs": {"a/b": "1"}}, "does not match any of the regexes"),
        ("POST", "", {"extra_specs": {"a": "x" * 256}}, "is too long"),
        ("PUT", "/a", {"b": "1"}, "Request body and URI mismatch"),
        ("PUT", "/a", {"a": "1", "b": "1"}, "has too many properties"),
        ("PUT", "/a", {}, "does not have enough properties"),
        ("PUT", "/a", [], "is not of type 'object'"),
    ],
)
async def test_extra_specs_that_are_refused(api: Api, method: str, rest: str, body: Any, said: str) -> None:
    answer = await api.call(method, f"/flavors/1/os-extra_specs{rest}", body, who=api.admin)
    assert answer.status_code == 400
    assert said in message(answer)
    assert await api.get("/flavors/1/os-extra_specs") == {"extra_specs": {}}


async def test_who_writes_no_extra_specs(api: Api) -> None:
    path = "/flavors/1/os-extra_specs"
    assert (await api.call("POST", path, {"extra_specs": {"a": "1"}})).status_code == 403
    assert (await api.call("PUT", f"{path}/a", {"a": "1"})).status_code == 403
    assert (await api.call("DELETE", f"{path}/a")).status_code == 403
    missing = "/flavors/nowhere/os-extra_specs"
    assert (await api.call("POST", missing, {"extra_specs": {}}, who=api.admin)).status_code == 404


async def test_extra_specs_that_nova_knows_are_validated_from_2_86_on(api: Api) -> None:
    path, body = "/flavors/1/os-extra_specs", {"hw:cpu_policy": "sharrred"}
    for method, where, sent in (
        ("POST", path, {"extra_specs": body}),
        ("PUT", f"{path}/hw:cpu_policy", body),
    ):
        taken = await api.call(method, where, sent, version="2.85", who=api.admin)
        assert (taken.status_code, taken.json()) == (200, sent)
        refused = await api.call(method, where, sent, version="2.86", who=api.admin)
        assert refused.status_code == 400
        assert message(refused) == "Validation failed; 'sharrred' is not one of: dedicated, shared, mixed."
