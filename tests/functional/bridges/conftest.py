"""A host with bridges of its own. What is here needs root, and is skipped without."""
# ruff: noqa: ASYNC221  Programs that take milliseconds.

import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import procrastinate
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from renova.agent.networks import links
from renova.agent.networks.bridge import BridgedNetworks
from renova.agent.networks.names import Names
from renova.agent.networks.removal import remove
from tests.functional.agent_world import World
from tests.functional.bridges.site import Site, serving
from tests.functional.linux_machines import short_run_path


@pytest.fixture
async def world(tmp_path: Path, engine: AsyncEngine, jobs: procrastinate.App) -> AsyncIterator[World]:
    """A host without servers, which chooses a range of its own. At the end the kernel has nothing of it."""
    if os.geteuid() != 0:
        pytest.skip("bridges, taps and the firewall need root")
    world = World(tmp_path, engine, jobs)
    with short_run_path(world):
        yield world
        names = Names.of(world.conf.run_path)
        remove(names)
        assert links.beginning_with(names.bridges) + links.beginning_with(names.taps) == []
        assert names.table not in subprocess.check_output(["nft", "list", "tables"], text=True)


@pytest.fixture
async def networks(world: World) -> AsyncIterator[BridgedNetworks]:
    networks = BridgedNetworks(world.conf, world.sessions)
    async with serving(networks):
        yield networks


@pytest.fixture
async def site(world: World, networks: BridgedNetworks) -> AsyncIterator[Site]:
    with ExitStack() as stack:
        yield Site(world, networks, stack)
