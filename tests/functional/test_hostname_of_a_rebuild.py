"""The host name of a rebuilt server: it follows the name that it was made from, and one chosen stays."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from renova.compute import rebuild
from renova.compute.states import TaskState
from renova.db.tables import Action, Generation
from tests.functional.api_without_agent import Api, api_without_agent


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with api_without_agent(database, tmp_path) as api:
        yield api


async def hostname(api: Api, server_id: str) -> str:
    server = (await api.get(f"/servers/{server_id}", version="2.90"))["server"]
    return str(server["OS-EXT-SRV-ATTR:hostname"])


async def rebuilt(api: Api, server_id: str, **fields: Any) -> str:
    """The host name that the answer of a rebuild says."""
    body = {"imageRef": api.other_image, **fields}
    answer = await api.act(server_id, "rebuild", body, version="2.90")
    assert answer.status_code == 202, answer.text
    return str(answer.json()["server"]["OS-EXT-SRV-ATTR:hostname"])


async def hostnames_of_systems(api: Api, server_id: str) -> list[str]:
    """What the config drive of each generation says, or will."""
    async with api.sessions() as session:
        statement = select(Generation.hostname).where(Generation.server_id == server_id)
        return list(await session.scalars(statement.order_by(Generation.number)))


async def test_it_follows_the_name_and_comes_back_with_an_undo(api: Api) -> None:
    server_id = await api.new("Old Web")
    assert await rebuilt(api, server_id, name="New Web") == "new-web"
    await api.finish_rebuild(server_id)
    assert await hostnames_of_systems(api, server_id) == ["old-web", "new-web"]
    await api.act(server_id, "undoRebuild")
    await api.finish_rebuild(server_id)
    assert await hostname(api, server_id) == "old-web"
    assert await hostnames_of_systems(api, server_id) == ["old-web", "new-web"]


async def test_it_comes_back_with_a_restore(api: Api) -> None:
    server_id = await api.new("old")
    assert await rebuilt(api, server_id, name="new") == "new"
    async with api.sessions.begin() as session:
        action = (await session.scalars(select(Action).where(Action.action == "rebuild"))).one()
        await rebuild.fail_rebuild(session, action, [TaskState.REBUILDING], "It did not boot.")
    assert await hostname(api, server_id) == "old"


async def test_a_name_that_makes_no_host_name_gives_nova_s(api: Api) -> None:
    server_id = await api.new("old")
    assert await rebuilt(api, server_id, name="日本") == f"server-{server_id}"
    await api.finish_rebuild(server_id)
    assert await rebuilt(api, server_id, name="new") == "new"


@pytest.mark.parametrize("sent", [{}, {"name": "old"}])
async def test_without_a_new_name_it_stays(api: Api, sent: dict[str, str]) -> None:
    server_id = await api.new("old")
    assert await rebuilt(api, server_id, **sent) == "old"


async def test_one_that_was_chosen_stays(api: Api) -> None:
    server_id = await api.new("old")
    await api.call("PUT", f"/servers/{server_id}", {"server": {"hostname": "mine"}}, version="2.90")
    assert await rebuilt(api, server_id, name="new") == "mine"


async def test_one_that_is_asked_for_wins(api: Api) -> None:
    server_id = await api.new("old")
    assert await rebuilt(api, server_id, name="new", hostname="mine") == "mine"


async def test_the_plan_says_it(api: Api) -> None:
    server_id = await api.new("old")
    body = {"imageRef": api.other_image, "name": "new"}
    plan = (await api.act(server_id, "planRebuild", body, version="2.90")).json()["plan"]
    assert {"what": "hostname", "from": "old", "to": "new"} in plan["replaced"]
    assert await hostname(api, server_id) == "old"
