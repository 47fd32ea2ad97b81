"""What a client is told while PostgreSQL or Keystone does not answer."""

import asyncio
import socket
from pathlib import Path

import httpx
import pytest

from renova.api import auth
from renova.api.auth import KeystoneTokens
from renova.errors import Unauthenticated, Unavailable
from tests.api_client import MadeUpTokens, api_client, configure

# Nothing listens on port 1.
NO_KEYSTONE = """\
auth_url = http://127.0.0.1:1/v3
auth_type = password
username = renova
password = secret
project_name = service
http_request_max_retries = 0
"""


async def test_no_database(tmp_path: Path) -> None:
    tokens = MadeUpTokens()
    async with api_client(configure(tmp_path), tokens) as api:
        answer: httpx.Response = await api.get("/v2.1/flavors", headers=tokens.give("member"))
    assert answer.status_code == 503
    assert answer.json()["serviceUnavailable"]["message"] == (
        "The service is temporarily unavailable. Please try again later."
    )
    assert int(answer.headers["retry-after"]) > 0


@pytest.fixture
def tokens(tmp_path: Path) -> KeystoneTokens:
    return KeystoneTokens(configure(tmp_path, NO_KEYSTONE))


async def test_no_keystone(tokens: KeystoneTokens) -> None:
    with pytest.raises(Unavailable, match="The Keystone service is temporarily unavailable"):
        await tokens.check("a token", "GET", "/v2.1/servers")


async def test_a_keystone_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "KEYSTONE_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        tokens = KeystoneTokens(configure(tmp_path, NO_KEYSTONE.replace(":1/", f":{port}/")))
        with pytest.raises(Unavailable, match="The Keystone service is temporarily unavailable"):
            async with asyncio.timeout(30):
                await tokens.check("a token", "GET", "/v2.1/servers")


@pytest.mark.parametrize("secret", [None, "", "  "])
async def test_without_a_token_keystone_is_not_asked(tokens: KeystoneTokens, secret: str | None) -> None:
    with pytest.raises(Unauthenticated):
        await tokens.check(secret, "GET", "/v2.1/servers")
