"""createImage through the API over a real database, the agent's part played by the test."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.api_without_agent import Api, api_without_agent


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with api_without_agent(database, tmp_path, "[quota]\nmetadata_items = 1\n") as api:
        yield api


async def test_the_image_says_where_it_comes_from(api: Api) -> None:
    record = api.glance.records[api.image]
    record |= {"hw_qemu_guest_agent": "yes", "img_signature": "…", "os_glance_importing": "x", "min_ram": 64}
    server_id = await api.new()
    answer = await api.act(server_id, "createImage", {"name": "copy", "metadata": {"role": "db"}})
    assert (answer.status_code, answer.content) == (202, b"")
    image_id = answer.headers["Location"].rsplit("/", 1)[-1]
    assert answer.headers["Location"] == f"http://glance.example/image/v2/images/{image_id}"
    image = api.glance.records[image_id]
    expected = {
        "name": "copy", "status": "queued", "visibility": "private", "role": "db", "image_type": "snapshot",
        "instance_uuid": server_id, "base_image_ref": api.image, "hw_qemu_guest_agent": "yes", "min_ram": 64,
    }  # fmt: skip
    assert {name: image[name] for name in expected} == expected
    assert not image.keys() & {"img_signature", "os_glance_importing"}
    server = (await api.get(f"/servers/{server_id}"))["server"]
    assert (server["status"], server["OS-EXT-STS:task_state"]) == ("ACTIVE", "image_snapshot")
    await api.finish(server_id)
    server = (await api.get(f"/servers/{server_id}"))["server"]
    assert (server["status"], server["OS-EXT-STS:task_state"]) == ("ACTIVE", None)


async def test_from_2_45_the_id_is_in_the_body(api: Api) -> None:
    server_id = await api.new()
    answer = await api.act(server_id, "createImage", {"name": "copy"}, version="2.45")
    assert answer.status_code == 202
    assert "Location" not in answer.headers
    assert api.glance.records[answer.json()["image_id"]]["status"] == "queued"


async def test_a_locked_server_may_be_copied(api: Api) -> None:
    server_id = await api.new()
    await api.set(server_id, locked_by="owner")
    assert (await api.act(server_id, "createImage", {"name": "copy"})).status_code == 202


@pytest.mark.parametrize(
    ("body", "version", "code"),
    [
        ({}, "2.1", 400),
        ({"name": ""}, "2.1", 400),
        ({"name": "n" * 256}, "2.1", 400),
        ({"name": "copy", "unknown": 1}, "2.1", 400),
        ({"name": "copy", "metadata": None}, "2.1", 400),
        ({"name": "copy", "metadata": {"a": 1}}, "2.1", 400),
        ({"name": "copy", "metadata": {"status": "active"}}, "2.1", 400),
        ({"name": "copy", "metadata": {"a": "1", "b": "2"}}, "2.38", 403),
        ({"name": "copy", "metadata": {"a": "1", "b": "2"}}, "2.39", 202),
    ],
)
async def test_what_may_be_sent(api: Api, body: dict[str, Any], version: str, code: int) -> None:
    server_id = await api.new()
    images = len(api.glance.records)
    assert (await api.act(server_id, "createImage", body, version=version)).status_code == code
    assert len(api.glance.records) == images + (code == 202)


async def test_a_busy_server_leaves_no_image(api: Api) -> None:
    server_id = await api.new()
    await api.set(server_id, task_state="rebuilding")
    images = len(api.glance.records)
    answer = await api.act(server_id, "createImage", {"name": "copy"})
    assert answer.status_code == 409
    assert f"Cannot 'createImage' instance {server_id} while it is in task_state rebuilding" in answer.text
    assert len(api.glance.records) == images


async def test_a_glance_that_is_away_leaves_the_server_alone(api: Api) -> None:
    server_id = await api.new()
    api.glance.down = True
    before = await api.rows()
    assert (await api.act(server_id, "createImage", {"name": "copy"})).status_code == 503
    assert await api.rows() == before
