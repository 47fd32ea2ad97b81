"""Resize through the API over a real database, the agent's part played by the test."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.functional.api_without_agent import Api, api_without_agent

MANY_CORES = "Quota exceeded for cores: Requested 1, but already used 1 of 1 cores"


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with api_without_agent(database, tmp_path, "[quota]\ncores = 1\n") as api:
        async with api.sessions.begin() as session:
            await session.execute(text("UPDATE flavors SET disabled = true WHERE id = '3'"))
        yield api


async def seen(api: Api, server_id: str) -> tuple[str, str | None, str]:
    server = (await api.get(f"/servers/{server_id}"))["server"]
    return server["status"], server["OS-EXT-STS:task_state"], server["flavor"]["id"]


async def finish_resize(api: Api, server_id: str) -> None:
    """The agent's marks of the new generation, too."""
    await api.finish(server_id)
    async with api.sessions.begin() as session:
        await session.execute(text("UPDATE actions SET settled_at = finished_at"))
        await session.execute(text("UPDATE servers SET generation = generations_made"))


@pytest.mark.parametrize(
    ("word", "code", "while_it_lasts", "ended"),
    [
        ("confirmResize", 204, ("VERIFY_RESIZE", "resize_confirming", "2"), ("ACTIVE", None, "2")),
        ("revertResize", 202, ("REVERT_RESIZE", "resize_reverting", "1"), ("ACTIVE", None, "1")),
    ],
)
async def test_the_states_that_a_client_sees(
    api: Api, word: str, code: int, while_it_lasts: tuple[str, ...], ended: tuple[str, ...]
) -> None:
    server_id = await api.new()
    answer = await api.act(server_id, "resize", {"flavorRef": "2", "OS-DCF:diskConfig": "AUTO"})
    assert (answer.status_code, answer.content) == (202, b"")
    assert await seen(api, server_id) == ("RESIZE", "resize_prep", "2")
    await finish_resize(api, server_id)
    assert await seen(api, server_id) == ("VERIFY_RESIZE", None, "2")
    answer = await api.act(server_id, word)
    assert (answer.status_code, answer.content) == (code, b"")
    assert await seen(api, server_id) == while_it_lasts
    await api.finish(server_id)
    assert await seen(api, server_id) == ended
    shown = (await api.get(f"/servers/{server_id}/os-instance-actions"))["instanceActions"]
    assert [action["action"] for action in shown] == [word, "resize", "create"]


@pytest.mark.parametrize(
    ("name", "body", "code", "sentence"),
    [
        ("resize", {"flavorRef": "1"}, 400, "When resizing, instances must change flavor!"),
        ("resize", {"flavorRef": "nonesuch"}, 400, "Flavor nonesuch could not be found."),
        ("resize", {"flavorRef": "3"}, 400, "Flavor 3 could not be found."),
        ("resize", {"flavorRef": ""}, 400, None),
        ("resize", {"flavorRef": "2", "unknown": 1}, 400, None),
        ("resize", {"flavorRef": "2", "OS-DCF:diskConfig": "auto"}, 400, None),
        ("resize", {}, 400, None),
        ("resize", {"flavorRef": "4"}, 403, MANY_CORES),
        ("confirmResize", None, 409, "Cannot 'confirmResize' instance {} while it is in vm_state active"),
        ("revertResize", None, 409, "Cannot 'revertResize' instance {} while it is in vm_state active"),
    ],
)  # fmt: skip
async def test_what_is_refused_changes_nothing(
    api: Api, name: str, body: Any, code: int, sentence: str | None
) -> None:
    server_id = await api.new()
    before = await api.rows()
    answer = await api.act(server_id, name, body)
    assert answer.status_code == code, answer.text
    if sentence is not None:
        (envelope,) = answer.json().values()
        assert envelope["message"] == sentence.format(server_id)
    assert await api.rows() == before


async def test_the_image_is_asked_what_it_needs_while_there_is_one(api: Api) -> None:
    server_id = await api.new(flavorRef="2")
    api.glance.records[api.image]["min_ram"] = 200
    answer = await api.act(server_id, "resize", {"flavorRef": "1"})
    assert answer.status_code == 400
    assert "Flavor's memory is too small for requested image." in answer.text
    del api.glance.records[api.image]
    assert (await api.act(server_id, "resize", {"flavorRef": "1"})).status_code == 202


async def test_who_may_not(api: Api) -> None:
    server_id = await api.new()
    for who, code in ((api.reader, 403), (api.stranger, 404)):
        answer = await api.act(server_id, "resize", {"flavorRef": "2"}, who=who, prefix="/v2.1")
        assert answer.status_code == code
    await api.set(server_id, locked_by="owner")
    assert (await api.act(server_id, "resize", {"flavorRef": "2"})).status_code == 409


async def test_lists_know_the_statuses_of_a_resize(api: Api) -> None:
    server_id = await api.new()
    assert (await api.act(server_id, "resize", {"flavorRef": "2"})).status_code == 202
    for status, ids in (("RESIZE", [server_id]), ("VERIFY_RESIZE", []), ("ACTIVE", [])):
        servers = (await api.get(f"/servers?status={status}"))["servers"]
        assert [server["id"] for server in servers] == ids
