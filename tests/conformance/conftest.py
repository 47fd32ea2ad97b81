"""The services of the functional tests, for the statements of the seed page."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import open_directory
from tests.functional.api_without_agent import Api, api_without_agent
from tests.functional.conftest import client, cloud, database, postgres, template

# A fixture is found by its name here. The directory is one more, for a PostgreSQL of these tests' own.
__all__ = ["client", "cloud", "database", "open_directory", "postgres", "template"]


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[Api]:
    """The API under profile noa, which is the default."""
    async with api_without_agent(database, tmp_path) as running:
        yield running
