"""Services and availability zones over the API."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from tests.functional.api_without_agent import HOST, Api, api_without_agent


@pytest.fixture
async def api(tmp_path: Path, database: str) -> AsyncIterator[Api]:
    async with api_without_agent(database, tmp_path) as api:
        yield api


async def services(api: Api, query: str = "", version: str = "2.1") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.get(f"/os-services{query}", who=api.admin, version=version))[
        "services"
    ]
    return found


async def silence(api: Api) -> None:
    """The agent reports no more."""
    async with api.sessions.begin() as session:
        await session.execute(text("UPDATE services SET seen_at = seen_at - interval '61 seconds'"))


async def test_an_admin_sees_the_agents(api: Api) -> None:
    (service,) = await services(api)
    assert isinstance(service.pop("id"), int)
    assert datetime.fromisoformat(service.pop("updated_at")).tzinfo is None
    assert service == {
        "binary": "nova-compute",
        "host": HOST,
        "zone": "nova",
        "status": "enabled",
        "state": "up",
        "disabled_reason": None,
    }
    (later,) = await services(api, version="2.11")
    assert later["forced_down"] is False
    (latest,) = await services(api, version="2.53")
    assert str(UUID(latest["id"])) == latest["id"]
    await silence(api)
    assert [service["state"] for service in await services(api)] == ["down"]


async def test_services_by_host_and_binary(api: Api) -> None:
    assert len(await services(api, f"?host={HOST}&binary=nova-compute")) == 1
    assert len(await services(api, "?host=&binary=")) == 1
    assert await services(api, "?host=elsewhere") == []
    assert await services(api, "?binary=nova-scheduler") == []


async def test_everybody_sees_the_zone_and_an_admin_its_hosts(api: Api) -> None:
    brief = await api.get("/os-availability-zone", who=api.reader)
    assert brief == {
        "availabilityZoneInfo": [{"zoneName": "nova", "zoneState": {"available": True}, "hosts": None}]
    }
    await silence(api)
    (zone,) = (await api.get("/os-availability-zone/detail", who=api.admin))["availabilityZoneInfo"]
    ((host, running),) = zone["hosts"].items()
    assert (host, running.keys()) == (HOST, {"nova-compute"})
    assert (running["nova-compute"]["available"], running["nova-compute"]["active"]) == (False, True)


@pytest.mark.parametrize("path", ["/os-services", "/os-availability-zone/detail"])
async def test_hosts_are_for_admins(api: Api, path: str) -> None:
    assert (await api.call("GET", path)).status_code == 403
