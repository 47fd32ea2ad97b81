"""The API over the PostgreSQL of the functional tests, with room for a server of every microversion."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import open_directory
from tests.functional.api_without_agent import Api, api_without_agent
from tests.functional.conftest import database, postgres, template

# A fixture is found by its name here. The directory is one more, for a PostgreSQL of these tests' own.
__all__ = ["database", "open_directory", "postgres", "template"]

ROOM = "[quota]\ninstances = -1\ncores = -1\nram = -1\n"


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with api_without_agent(database, tmp_path, ROOM, held=False) as running:
        yield running
