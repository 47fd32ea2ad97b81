"""How many statements a request sends to PostgreSQL: the number is small and does not grow with the rows."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tests.functional.agent_world import OLD, World
from tests.functional.api_without_agent import Api, api_without_agent

# Two to find the server and its host's agent; then the lock, the new values, the two generations and the
# action. The job is one more, straight through the driver.
REBUILD = 7
MANY = 50
# Of an agent: the action, the server and its generations; one as each of six steps begins; the marks that the
# disks are whole and whose system it is; four that settle it; what is useless, its rows, the action's end.
REBUILD_BY_THE_AGENT = 3 + 6 + 2 + 4 + 3


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[Api]:
    options = f"[quota]\ninstances = {MANY + 1}\ncores = -1\nram = -1\n"
    async with api_without_agent(database, tmp_path, options) as api:
        yield api


@contextmanager
def statements() -> Iterator[list[str]]:
    """What is sent through SQLAlchemy inside."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield sent
    event.remove(Engine, "before_cursor_execute", note)


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
