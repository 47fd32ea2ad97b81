"""What a stranger may send as values: it is refused in Nova's form, and changes nothing."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.api_without_agent import Api, api_without_agent

NUL = "a\0b"


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with api_without_agent(database, tmp_path, "[compute]\nprofile = nova\n") as api:
        yield api


@pytest.mark.parametrize(
    "field",
    [
        {"name": NUL},
        {"adminPass": NUL},
        {"metadata": {"role": NUL}},
        {"metadata": {NUL: "role"}},
        {"description": NUL},
        {"key_name": NUL},
        {"user_data": NUL},
        {"imageRef": "../../../../etc/shadow"},
        {"imageRef": "file:///etc/shadow"},
        {"name": "x\n-monitor stdio"},
    ],
    ids=str,
)
async def test_what_no_value_can_hold_is_refused_and_changes_nothing(api: Api, field: dict[str, Any]) -> None:
    server_id = await api.new()
    rows = await api.rows()
    body = {"imageRef": api.other_image, **field}
    answer = await api.act(server_id, "rebuild", body, version="2.57")
    assert answer.status_code == 400, answer.text
    assert answer.json()["badRequest"]["message"]
    new = {"name": "web", "imageRef": api.image, "flavorRef": "1", "networks": "none", **field}
    answer = await api.call("POST", "/servers", {"server": new}, version="2.57")
    assert answer.status_code == 400, answer.text
    assert await api.rows() == rows


async def test_keys_that_are_none(api: Api) -> None:
    for body in (
        {"name": "k", "public_key": "ssh-rsa AAAA\0"},
        {"name": "k", "public_key": 'command="rm -rf /" ssh-rsa AAAA'},
        {"name": "../k\0", "public_key": None},
        {"name": "k\n", "public_key": None},
    ):
        answer = await api.call("POST", "/os-keypairs", {"keypair": body})
        assert answer.status_code == 400, answer.text
