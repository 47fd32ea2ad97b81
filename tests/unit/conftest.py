"""The API of things, in the test's own process."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.api_client import MadeUpTokens, api_client, configure
from tests.unit.things_api import routes


@pytest.fixture
async def tokens() -> MadeUpTokens:
    return MadeUpTokens()


@pytest.fixture
async def things(tmp_path: Path, tokens: MadeUpTokens) -> AsyncIterator[httpx.AsyncClient]:
    conf = configure(tmp_path, "[api]\nmax_limit = 2\nmax_request_body_size = 1000\n")
    async with api_client(conf, tokens, routes=routes) as client:
        client.headers.update(tokens.give("member"))
        yield client
