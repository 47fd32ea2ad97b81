"""Limits over the API, and quotas over a real database."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from renova.compute.caller import Caller
from renova.compute.quotas import Limits, Usage, check_and_reserve, usage_of
from renova.db.session import Sessions
from renova.db.tables import Server
from renova.errors import QuotaExceeded
from tests.api_client import PROJECT, MadeUpTokens, api_client, configure

CALLER = Caller("user", PROJECT, frozenset({"member"}), is_admin=False, request_id="req-1")
LIMITS = Limits(instances=5, cores=8, ram=1000, metadata_items=128, key_pairs=100)
# What Nova answers at 2.1 and nobody can use here, and the microversion that took it away.
GONE = {
    "2.36": {
        "maxTotalFloatingIps",
        "maxSecurityGroups",
        "maxSecurityGroupRules",
        "totalFloatingIpsUsed",
        "totalSecurityGroupsUsed",
    },
    "2.39": {"maxImageMeta"},
    "2.57": {"maxPersonality", "maxPersonalitySize"},
}


@pytest.fixture
def tokens() -> MadeUpTokens:
    return MadeUpTokens()


@pytest.fixture
async def api(tmp_path: Path, database: str, tokens: MadeUpTokens) -> AsyncIterator[httpx.AsyncClient]:
    async with api_client(configure(tmp_path, "[quota]\ncores = 7\n"), tokens, database=database) as client:
        client.headers.update(tokens.give("reader"))
        yield client


def server(vcpus: int, ram: int, project_id: str = PROJECT, deleted: bool = False) -> Server:
    return Server(
        id=str(uuid4()),
        project_id=project_id,
        user_id="user",
        name="a",
        hostname="a",
        vm_state="active",
        host="host",
        flavor={"vcpus": vcpus, "ram": ram},
        image_id="image",
        reservation_id="r-1",
        deleted_at=datetime.now(UTC) if deleted else None,
    )


async def absolute(api: httpx.AsyncClient, version: str = "2.1", query: str = "") -> dict[str, int]:
    answer = await api.get(f"/v2.1/limits{query}", headers={"OpenStack-API-Version": f"compute {version}"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["limits"]["rate"] == []
    return dict(answer.json()["limits"]["absolute"])


async def test_limits_and_what_is_used_of_them(api: httpx.AsyncClient, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        session.add_all([server(2, 300), server(1, 100), server(1, 1, deleted=True), server(1, 1, "other")])
    assert await absolute(api, query="?reserved=1") == {
        "maxTotalInstances": 10,
        "maxTotalCores": 7,
        "maxTotalRAMSize": 51200,
        "maxTotalKeypairs": 100,
        "maxServerMeta": 128,
        "maxServerGroups": 10,
        "maxServerGroupMembers": 10,
        "maxImageMeta": 128,
        "maxPersonality": 5,
        "maxPersonalitySize": 10240,
        "maxTotalFloatingIps": -1,
        "maxSecurityGroups": -1,
        "maxSecurityGroupRules": -1,
        "totalInstancesUsed": 2,
        "totalCoresUsed": 3,
        "totalRAMUsed": 400,
        "totalServerGroupsUsed": 0,
        "totalFloatingIpsUsed": 0,
        "totalSecurityGroupsUsed": 0,
    }


async def test_fields_go_with_their_version(api: httpx.AsyncClient) -> None:
    before = set(await absolute(api, "2.35"))
    assert before == set(await absolute(api))
    for version, gone in GONE.items():
        now = set(await absolute(api, version))
        assert before - now == gone
        assert now < before
        before = now


async def test_another_projects_limits_are_an_admins(
    api: httpx.AsyncClient, sessions: Sessions, tokens: MadeUpTokens
) -> None:
    async with sessions.begin() as session:
        session.add(server(2, 300, "other"))
    answer = await api.get("/v2.1/limits?tenant_id=other")
    assert answer.status_code == 403
    assert "os_compute_api:limits:other_project" in answer.json()["forbidden"]["message"]
    api.headers.update(tokens.give("admin"))
    assert (await absolute(api, query="?tenant_id=other"))["totalCoresUsed"] == 2


async def test_as_many_as_fit_are_allowed(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        session.add(server(2, 300))
        reserve = {"cores": 3, "ram": 100}
        assert await check_and_reserve(session, LIMITS, CALLER, minimum=1, maximum=5, **reserve) == 2
        assert await check_and_reserve(session, LIMITS, CALLER, minimum=2, maximum=2, **reserve) == 2
        message = "Quota exceeded for cores: Requested 9, but already used 2 of 8 cores"
        with pytest.raises(QuotaExceeded, match=message):
            await check_and_reserve(session, LIMITS, CALLER, minimum=3, maximum=3, **reserve)
        message = "cores, instances: Requested 27, 3-9, but already used 2, 1 of 8, 5 cores, instances"
        with pytest.raises(QuotaExceeded, match=message):
            await check_and_reserve(session, LIMITS, CALLER, minimum=3, maximum=9, cores=3, ram=1)
        with pytest.raises(QuotaExceeded, match="for ram: Requested 701, but already used 300 of 1000 ram"):
            await check_and_reserve(session, LIMITS, CALLER, minimum=1, maximum=1, cores=1, ram=701)


async def test_minus_one_is_no_limit(sessions: Sessions) -> None:
    unlimited = Limits(instances=-1, cores=-1, ram=-1, metadata_items=-1, key_pairs=-1)
    async with sessions.begin() as session:
        count = await check_and_reserve(
            session, unlimited, CALLER, minimum=1, maximum=500, cores=99, ram=10**9
        )
    assert count == 500


async def test_two_at_once_do_not_both_get_the_last_place(sessions: Sessions) -> None:
    async def take() -> bool:
        async with sessions.begin() as session:
            try:
                await check_and_reserve(session, LIMITS, CALLER, minimum=1, maximum=1, cores=5, ram=1)
            except QuotaExceeded:
                return False
            session.add(server(5, 1))
            return True

    assert sorted(await asyncio.gather(*(take() for _ in range(4)))) == [False, False, False, True]
    async with sessions.begin() as session:
        assert await usage_of(session, PROJECT) == Usage(instances=1, cores=5, ram=1)
