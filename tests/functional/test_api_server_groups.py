"""Server groups: what a client sees of them, and that their policy decides where servers go."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from renova.compute.hosts import AGENT
from renova.db.tables import Service
from tests.api_client import PROJECT
from tests.fake_glance import CALLER
from tests.functional.api_without_agent import HOST, Api, api_without_agent

GROUPS = "/os-server-groups"


@pytest.fixture
async def api(tmp_path: Path, database: str) -> AsyncIterator[Api]:
    """Two hosts, of which the second was there first by name."""
    async with api_without_agent(database, tmp_path) as api:
        now = datetime.now(UTC)
        async with api.sessions.begin() as session:
            session.add(
                Service(
                    host="host-2", binary=AGENT, version="0", address="unix:/nowhere", architecture="x86_64",
                    started_at=now, seen_at=now,
                )
            )  # fmt: skip
        yield api


async def group(api: Api, policy: str, version: str = "2.64", **fields: Any) -> str:
    body = {"server_group": {"name": "g", "policy": policy, **fields}}
    answer = await api.call("POST", GROUPS, body, version=version)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["server_group"]["id"])


async def boot(api: Api, group_id: str, **fields: Any) -> Any:
    server = {"name": "a", "imageRef": api.image, "flavorRef": "1", **fields}
    body = {"server": server, "os:scheduler_hints": {"group": group_id}}
    return await api.call("POST", "/servers", body)


async def hosts(api: Api) -> list[str]:
    servers = (await api.get("/servers/detail", who=api.admin))["servers"]
    return sorted(server["OS-EXT-SRV-ATTR:host"] for server in servers)


def message(answer: Any) -> str:
    (fault,) = answer.json().values()
    return str(fault["message"])


async def test_a_group_at_each_microversion(api: Api) -> None:
    body = {"server_group": {"name": "g", "policies": ["affinity"]}}
    made = (await api.call("POST", GROUPS, body)).json()["server_group"]
    group_id = made.pop("id")
    assert str(UUID(group_id)) == group_id
    assert made == {"name": "g", "policies": ["affinity"], "members": [], "metadata": {}}
    owned = (await api.get(f"{GROUPS}/{group_id}", version="2.13"))["server_group"]
    assert owned == made | {"id": group_id, "project_id": PROJECT, "user_id": CALLER}
    latest = (await api.get(f"{GROUPS}/{group_id}", version="2.64"))["server_group"]
    assert latest.keys() == owned.keys() - {"policies", "metadata"} | {"policy", "rules"}
    assert (latest["policy"], latest["rules"]) == ("affinity", {})
    ruled = await group(api, "anti-affinity", rules={"max_server_per_host": "3"})
    shown = (await api.get(f"{GROUPS}/{ruled}", version="2.64"))["server_group"]
    assert shown["rules"] == {"max_server_per_host": 3}


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        ("2.1", {"policies": ["soft-affinity"]}),
        ("2.1", {"policies": []}),
        ("2.15", {"policies": ["affinity", "anti-affinity"]}),
        ("2.15", {"policy": "affinity"}),
        ("2.63", {"policies": ["affinity"], "rules": {}}),
        ("2.64", {"policies": ["affinity"]}),
        ("2.64", {"policy": "legacy"}),
        ("2.64", {"policy": "affinity", "rules": {"max_server_per_host": 2}}),
        ("2.64", {"policy": "anti-affinity", "rules": {"max_server_per_host": 0}}),
    ],
)
async def test_groups_that_are_refused(api: Api, version: str, fields: dict[str, Any]) -> None:
    answer = await api.call("POST", GROUPS, {"server_group": {"name": "g", **fields}}, version=version)
    assert answer.status_code == 400
    assert await api.get(GROUPS) == {"server_groups": []}


async def test_lists_are_of_ones_project_and_for_admins_of_all(api: Api) -> None:
    first, second = await group(api, "affinity"), await group(api, "soft-affinity")
    listed = (await api.get(GROUPS))["server_groups"]
    assert [shown["id"] for shown in listed] == [first, second]
    (shown,) = (await api.get(f"{GROUPS}?limit=1&offset=1"))["server_groups"]
    assert shown["id"] == second
    for who, query, number in ((api.stranger, "?all_projects=1", 0), (api.admin, "?all_projects=1", 2)):
        answer = await api.call("GET", GROUPS + query, who=who, prefix="/v2.1")
        assert len(answer.json()["server_groups"]) == number
    for method in ("GET", "DELETE"):
        answer = await api.call(method, f"{GROUPS}/{first}", who=api.stranger, prefix="/v2.1")
        assert (answer.status_code, message(answer)) == (404, f"Instance group {first} could not be found.")
    assert (await api.call("DELETE", f"{GROUPS}/{first}", who=api.reader)).status_code == 403


async def test_anti_affinity_puts_servers_on_hosts_of_their_own(api: Api) -> None:
    group_id = await group(api, "anti-affinity")
    assert (await boot(api, group_id, min_count=2)).status_code == 202
    assert await hosts(api) == [HOST, "host-2"]
    before = await api.rows()
    third = await boot(api, group_id)
    assert third.status_code == 409
    assert "the server group's policy is anti-affinity" in message(third)
    assert await api.rows() == before
    wider = await group(api, "anti-affinity", rules={"max_server_per_host": 2})
    assert (await boot(api, wider, min_count=4)).status_code == 202
    assert (await boot(api, wider)).status_code == 409


@pytest.mark.parametrize("policy", ["affinity", "soft-affinity"])
async def test_affinity_keeps_servers_together(api: Api, policy: str) -> None:
    group_id = await group(api, policy)
    assert (await boot(api, group_id, min_count=3)).status_code == 202
    assert await hosts(api) == [HOST] * 3
    async with api.sessions.begin() as session:
        await session.delete(await session.get_one(Service, (HOST, AGENT)))
    assert (await boot(api, group_id)).status_code == (409 if policy == "affinity" else 202)


async def test_soft_anti_affinity_is_a_wish(api: Api) -> None:
    assert (await boot(api, await group(api, "soft-anti-affinity"), min_count=4)).status_code == 202
    assert await hosts(api) == [HOST, HOST, "host-2", "host-2"]


async def test_members_come_and_go_and_the_group_after_them(api: Api) -> None:
    group_id = await group(api, "affinity")
    server_id = (await boot(api, group_id)).json()["server"]["id"]
    await api.finish(server_id)
    assert (await api.get(f"{GROUPS}/{group_id}"))["server_group"]["members"] == [server_id]
    assert (await api.get(f"/servers/{server_id}", version="2.71"))["server"]["server_groups"] == [group_id]
    limits = (await api.get("/limits"))["limits"]["absolute"]
    assert limits["totalServerGroupsUsed"] == 1
    assert (await api.call("DELETE", f"{GROUPS}/{group_id}")).status_code == 204
    assert (await api.get(f"/servers/{server_id}", version="2.71"))["server"]["server_groups"] == []
    answer = await boot(api, group_id)
    assert (answer.status_code, message(answer)) == (400, f"Instance group {group_id} could not be found.")
    assert (await boot(api, str(uuid4()))).status_code == 400
    assert (await api.get(GROUPS))["server_groups"] == []


async def test_quotas_on_groups_and_their_members(api: Api) -> None:
    quota = {"quota_set": {"server_groups": 1, "server_group_members": 1}}
    assert (await api.call("PUT", f"/os-quota-sets/{PROJECT}", quota, who=api.admin)).status_code == 200
    group_id = await group(api, "affinity")
    body = {"server_group": {"name": "g", "policies": ["affinity"]}}
    second = await api.call("POST", GROUPS, body)
    assert (second.status_code, message(second)) == (403, "Quota exceeded, too many server groups.")
    assert (await boot(api, group_id)).status_code == 202
    more = await boot(api, group_id)
    assert (more.status_code, message(more)) == (403, "Quota exceeded, too many servers in group")
