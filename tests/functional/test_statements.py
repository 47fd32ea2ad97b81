"""How many statements a request sends to PostgreSQL: the number is small and does not grow with the rows."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.functional.agent_world import OLD, World
from tests.functional.api_without_agent import Api, api_without_agent

# Two to find the server and its host's agent; then the lock, the new values, the two generations, the action
# and its job.
REBUILD = 8
MANY = 50
# Of an agent: the action with the server and its generations, and the ports; one as each of six steps begins;
# the marks that the disks are whole and whose system it is; two that settle it; what is useless, its rows and
# the action's end.
REBUILD_BY_THE_AGENT = 2 + 6 + 2 + 2 + 3


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[Api]:
    options = f"[quota]\ninstances = {MANY + 1}\ncores = -1\nram = -1\n"
    async with api_without_agent(database, tmp_path, options) as api:
        yield api


@contextmanager
def statements() -> Iterator[list[str]]:
    """What is sent to PostgreSQL inside, by whatever part of the program."""
    sent: list[str] = []
    execute = psycopg.AsyncCursor.execute

    async def note(cursor: Any, statement: Any, *values: Any, **options: Any) -> Any:
        sent.append(statement)
        return await execute(cursor, statement, *values, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.AsyncCursor, "execute", note)
        yield sent


async def test_the_number_of_statements_does_not_grow_with_the_servers(api: Api) -> None:
    server_id = await api.new()
    for servers in (1, MANY):
        if servers == MANY:
            body = {"name": "many", "imageRef": api.image, "flavorRef": "1", "min_count": MANY - 1}
            assert (await api.call("POST", "/servers", {"server": body})).status_code == 202
        with statements() as sent:
            await api.get(f"/servers/{server_id}")
        assert len(sent) == 1, sent
        with statements() as sent:
            listed = await api.get("/servers/detail")
        assert (len(listed["servers"]), len(sent)) == (servers, 2), sent
        with statements() as sent:
            assert (await api.act(server_id, "rebuild", {"imageRef": api.other_image})).status_code == 202
        assert len(sent) == REBUILD, sent
        await api.finish_rebuild(server_id)


async def test_the_statements_of_an_agent_for_one_rebuild(world: World) -> None:
    agent = await world.agent()
    for _ in range(2):
        await world.ask_rebuild(OLD)
        with statements() as sent:
            # The sweep that finds it is one more.
            await asyncio.gather(*await agent.sweep())
    assert len(sent) == 1 + REBUILD_BY_THE_AGENT, sent
    assert await world.generations() == [2, 3]
