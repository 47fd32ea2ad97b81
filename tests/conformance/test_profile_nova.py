"""Where profile nova, which is upstream's contract, differs from the seed page."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.api_without_agent import Api, api_without_agent


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with api_without_agent(database, tmp_path, "[compute]\nprofile = nova\n") as running:
        yield running


async def code(api: Api, server_id: str, **fields: Any) -> int:
    answer = await api.act(server_id, "rebuild", {"imageRef": api.other_image, **fields}, version="2.57")
    return answer.status_code


async def test_a_server_in_error_is_rebuilt(api: Api) -> None:
    server_id = await api.new()
    await api.act(server_id, "os-resetState", {"state": "error"}, who=api.admin)
    assert await code(api, server_id) == 202
    assert (await api.get(f"/servers/{server_id}"))["server"]["status"] == "REBUILD"


@pytest.mark.parametrize(("length", "expected"), [(254, 202), (255, 202), (256, 400)])
async def test_a_name_has_up_to_255_characters(api: Api, length: int, expected: int) -> None:
    assert await code(api, await api.new(), name="n" * length) == expected


@pytest.mark.parametrize(("lines", "expected"), [(2, 202), (3, 202), (4, 400)])
async def test_user_data_has_up_to_65535_characters(api: Api, lines: int, expected: int) -> None:
    user_data = base64.b64encode(bytes(49149)).decode() + "\n" * lines
    assert await code(api, await api.new(), user_data=user_data) == expected


async def test_an_image_is_named_by_its_id_alone(api: Api) -> None:
    server_id = await api.new()
    assert await code(api, server_id, imageRef=f"http://glance.example/v2/images/{api.image}") == 400
    assert await code(api, server_id, imageRef=api.image) == 202


async def test_there_are_no_yearly_or_monthly_servers(api: Api) -> None:
    server_id = await api.new(metadata={"charging_mode": "1"})
    assert await code(api, server_id) == 202
