"""The request of a rebuild: what it writes and answers at each microversion, before any agent acts."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.api_without_agent import Api, api_without_agent


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with api_without_agent(database, tmp_path) as api:
        yield api


async def test_the_answer_and_what_is_seen_at_once(api: Api) -> None:
    server_id = await api.new("before", metadata={"old": "1"}, key_name="key")
    earlier = (await api.get(f"/servers/{server_id}"))["server"]
    wanted = {"imageRef": api.other_image, "name": "rebuildName", "metadata": {"rebuild": "rebuild vm"}}
    answer = await api.act(server_id, "rebuild", wanted)
    assert answer.status_code == 202
    rebuilt = answer.json()["server"]
    assert answer.headers["Location"] == rebuilt["links"][0]["href"]
    assert (rebuilt["status"], rebuilt["progress"]) == ("REBUILD", 0)
    assert len(rebuilt["adminPass"]) == 12
    shown = (await api.get(f"/servers/{server_id}"))["server"]
    for server in (rebuilt, shown):
        assert server["image"]["id"] == api.other_image
        assert server["name"] == "rebuildName"
        assert server["metadata"] == {"rebuild": "rebuild vm"}
    assert (shown["status"], shown["progress"]) == ("REBUILD", 1)
    kept = ("id", "addresses", "flavor", "hostId", "key_name", "created", "tenant_id", "user_id")
    assert {name: shown[name] for name in kept} == {name: earlier[name] for name in kept}
    assert rebuilt["addresses"] == {
        "private": [{"version": 4, "addr": earlier["addresses"]["private"][0]["addr"]}]
    }
    (action, _) = (await api.get(f"/servers/{server_id}/os-instance-actions"))["instanceActions"]
    assert (action["action"], action["request_id"]) == ("rebuild", answer.headers["x-compute-request-id"])


async def test_a_stopped_server_shows_rebuild_too(api: Api) -> None:
    server_id = await api.new()
    await api.act(server_id, "os-stop")
    await api.finish(server_id)
    await api.act(server_id, "rebuild", {"imageRef": api.image})
    assert (await api.get(f"/servers/{server_id}"))["server"]["status"] == "REBUILD"
    await api.finish(server_id)
    assert (await api.get(f"/servers/{server_id}"))["server"]["status"] == "SHUTOFF"


@pytest.mark.parametrize(
    ("sent", "key_name", "user_data"),
    [
        ({}, "key", "b2xk"),
        ({"key_name": None}, None, "b2xk"),
        ({"user_data": None}, "key", None),
        ({"user_data": "bmV3"}, "key", "bmV3"),
    ],
)
async def test_null_clears_and_absence_keeps(
    api: Api, sent: dict[str, Any], key_name: str | None, user_data: str | None
) -> None:
    server_id = await api.new(key_name="key", user_data="b2xk", metadata={"old": "1"})
    answer = await api.act(server_id, "rebuild", {"imageRef": api.image, **sent}, version="2.57")
    rebuilt = answer.json()["server"]
    assert (rebuilt["key_name"], rebuilt["user_data"]) == (key_name, user_data)
    assert rebuilt["metadata"] == {"old": "1"}


async def test_what_the_page_says_has_no_effect_is_taken(api: Api) -> None:
    server_id = await api.new()
    sent = {
        "imageRef": f"http://glance.example/v2/images/{api.image}",
        "adminPass": "secret",
        "OS-DCF:diskConfig": "AUTO",
        "preserve_ephemeral": True,
        "accessIPv4": "1.2.3.4",
        "accessIPv6": "80fe::",
    }
    rebuilt = (await api.act(server_id, "rebuild", sent)).json()["server"]
    assert rebuilt["adminPass"] == "secret"
    assert rebuilt["OS-DCF:diskConfig"] == "AUTO"
    assert (rebuilt["accessIPv4"], rebuilt["accessIPv6"]) == ("1.2.3.4", "80fe::")


async def test_the_key_is_looked_up_for_the_caller(api: Api) -> None:
    """An admin who rebuilds another's server gives it a key of their own, or none."""
    server_id = await api.new()
    body = {"imageRef": api.image, "key_name": "key"}
    answer = await api.act(server_id, "rebuild", body, version="2.54", who=api.admin, prefix="/v2.1")
    assert answer.json() == {"badRequest": {"code": 400, "message": "Invalid key_name provided."}}


async def test_personality_until_2_56(api: Api) -> None:
    server_id = await api.new()
    body = {"imageRef": api.image, "personality": [{"path": "/etc/motd", "contents": "aGk="}]}
    assert (await api.act(server_id, "rebuild", body, version="2.57")).status_code == 400
    assert (await api.act(server_id, "rebuild", body, version="2.56")).status_code == 202
