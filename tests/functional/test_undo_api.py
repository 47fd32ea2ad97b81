"""undoRebuild as a client asks for it, the agent's part played by the test; and two requests at once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from tests.functional.api_without_agent import Api, api_without_agent


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with api_without_agent(database, tmp_path) as api:
        yield api


@pytest.fixture
async def rebuilt(api: Api) -> str:
    """A server that was rebuilt."""
    server_id = await api.new("before", metadata={"role": "old"}, key_name="key")
    body = {"imageRef": api.other_image, "name": "after", "metadata": {"role": "new"}, "key_name": None}
    assert (await api.act(server_id, "rebuild", body, version="2.54")).status_code == 202
    await api.finish_rebuild(server_id)
    return server_id


async def seen(api: Api, server_id: str) -> dict[str, Any]:
    server: dict[str, Any] = (await api.get(f"/servers/{server_id}", version="2.54"))["server"]
    return server


def message(answer: httpx.Response) -> str:
    (envelope,) = answer.json().values()
    text: str = envelope["message"]
    return text


@pytest.mark.parametrize("body", [None, {}])
async def test_what_a_client_sees_of_an_undo(api: Api, rebuilt: str, body: Any) -> None:
    answer = await api.act(rebuilt, "undoRebuild", body)
    assert (answer.status_code, answer.content) == (202, b"")
    server = await seen(api, rebuilt)
    assert (server["status"], server["progress"]) == ("REBUILD", 1)
    assert (server["name"], server["metadata"], server["key_name"]) == ("before", {"role": "old"}, "key")
    assert server["image"]["id"] == api.image
    await api.finish_rebuild(rebuilt)
    assert (await seen(api, rebuilt))["status"] == "ACTIVE"
    shown = (await api.get(f"/servers/{rebuilt}/os-instance-actions"))["instanceActions"]
    assert [action["action"] for action in shown] == ["undoRebuild", "rebuild", "create"]


async def test_the_key_pair_and_the_image_need_not_exist_any_more(api: Api, rebuilt: str) -> None:
    assert (await api.call("DELETE", "/os-keypairs/key")).status_code == 202
    del api.glance.records[api.image]
    assert (await api.act(rebuilt, "undoRebuild")).status_code == 202
    server = await seen(api, rebuilt)
    assert (server["key_name"], server["image"]["id"]) == ("key", api.image)


async def test_nothing_to_undo_is_a_conflict_that_says_why(api: Api) -> None:
    server_id = await api.new()
    before = await api.rows()
    answer = await api.act(server_id, "undoRebuild")
    assert answer.status_code == 409
    assert message(answer) == f"Cannot 'undoRebuild' instance {server_id}: it has not been rebuilt."
    assert await api.rows() == before


async def test_a_system_that_is_no_longer_kept_is_a_conflict_that_says_until_when(
    api: Api, rebuilt: str
) -> None:
    async with api.sessions.begin() as session:
        await session.execute(
            text("UPDATE generations SET superseded_at = '2026-01-01T00:00:00Z' WHERE number = 1")
        )
    answer = await api.act(rebuilt, "undoRebuild")
    assert answer.status_code == 409
    assert message(answer).endswith("the system before the rebuild was kept until 2026-01-02T00:00:00Z.")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"task_state": "powering-off"}, "while it is in task_state powering-off"),
        ({"vm_state": "resized"}, "while it is in vm_state resized"),
        ({"locked_by": "owner"}, "is locked"),
        ({"charging_mode": "1"}, "yearly/monthly"),
    ],
)
async def test_what_stands_against_an_undo(
    api: Api, rebuilt: str, columns: dict[str, str], words: str
) -> None:
    await api.set(rebuilt, **columns)
    before = await api.rows()
    answer = await api.act(rebuilt, "undoRebuild")
    assert answer.status_code == 409
    assert words in message(answer)
    assert await api.rows() == before


async def test_an_undo_starts_from_error_in_both_profiles(api: Api, rebuilt: str) -> None:
    await api.set(rebuilt, vm_state="error")
    assert (await api.act(rebuilt, "undoRebuild")).status_code == 202


@pytest.mark.parametrize("body", [{"image": "x"}, "now", [], 1])
async def test_there_is_nothing_to_say_in_an_undo(api: Api, rebuilt: str, body: Any) -> None:
    assert (await api.act(rebuilt, "undoRebuild", body)).status_code == 400


async def test_a_reader_may_not_undo(api: Api, rebuilt: str) -> None:
    assert (await api.act(rebuilt, "undoRebuild", who=api.reader)).status_code == 403


RIVALS = {
    "rebuild": {"imageRef": "IMAGE", "name": "the other's"},
    "undoRebuild": None,
    "os-stop": None,
    "resize": {"flavorRef": "2"},
    "reboot": {"type": "SOFT"},
    "createImage": {"name": "copy"},
}


@pytest.mark.parametrize("rival", RIVALS)
@pytest.mark.parametrize("word", ["rebuild", "undoRebuild"])
async def test_of_two_requests_at_once_one_wins_and_the_other_is_told(
    api: Api, rebuilt: str, word: str, rival: str
) -> None:
    """However it ends, what the server shows is the winner's, and there is one open action."""
    rival_action = rival.removeprefix("os-")
    bodies = {**RIVALS, "rebuild": {"imageRef": api.image, "name": "the other's"}}
    mine = {"imageRef": api.other_image, "name": "mine"} if word == "rebuild" else None
    answers = await asyncio.gather(
        api.act(rebuilt, word, mine), api.act(rebuilt, rival, bodies[rival]), api.act(rebuilt, word, mine)
    )
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [202, 409, 409]
    async with api.sessions() as session:
        (action,) = await session.scalars(text("SELECT action FROM actions WHERE finished_at IS NULL"))
        jobs = await session.scalar(text("SELECT count(*) FROM procrastinate_jobs"))
        generations = list(await session.scalars(text("SELECT number FROM generations ORDER BY 1")))
    assert action == (word if answers[1].status_code == 409 else rival_action)
    assert jobs == len(await made(api)), "each action has its job, and a refused request has neither"
    assert generations == [1, 2, *([3] if action in {"rebuild", "resize"} else [])]
    name = {"rebuild": "mine" if answers[1].status_code == 409 else "the other's", "undoRebuild": "before"}
    assert (await seen(api, rebuilt))["name"] == name.get(action, "after")


async def made(api: Api) -> list[str]:
    async with api.sessions() as session:
        return list(await session.scalars(text("SELECT id FROM actions")))


@pytest.mark.parametrize("word", ["rebuild", "undoRebuild"])
async def test_a_delete_at_the_same_time_wins(api: Api, rebuilt: str, word: str) -> None:
    body = {"imageRef": api.image} if word == "rebuild" else None
    deleted, answer = await asyncio.gather(
        api.call("DELETE", f"/servers/{rebuilt}"), api.act(rebuilt, word, body)
    )
    assert deleted.status_code == 204
    assert answer.status_code in {202, 409}
    async with api.sessions() as session:
        task = await session.scalar(text("SELECT task_state FROM servers"))
    assert task == "deleting"


@pytest.mark.parametrize("word", ["rebuild", "undoRebuild"])
async def test_a_lock_at_the_same_time_comes_before_or_after(api: Api, rebuilt: str, word: str) -> None:
    body = {"imageRef": api.image} if word == "rebuild" else None
    locked, answer = await asyncio.gather(api.act(rebuilt, "lock"), api.act(rebuilt, word, body))
    assert locked.status_code == 202
    assert (await seen(api, rebuilt))["status"] == ("REBUILD" if answer.status_code == 202 else "ACTIVE")
    assert answer.status_code == 202 or "is locked" in message(answer)
