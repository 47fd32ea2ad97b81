"""adminPass: what becomes of it under each profile, and that it is nowhere when its action has ended."""

import io
import json
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import procrastinate
import pytest
from pycdlib import PyCdlib
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from renova.agent import operations
from renova.agent.qemu.fake import Behaviour
from renova.compute.power import begin_stop
from renova.db.session import Sessions
from renova.db.tables import Base, Event
from tests.functional.agent_world import (
    NEW,
    STEPS,
    Killed,
    World,
    Wrap,
    after,
    before,
    die_working,
    with_step,
)
from tests.functional.api_without_agent import Api, api_without_agent

PASSWORD = "Tr0ub4dor & 3"
JOBS = "procrastinate_jobs"


async def passwords_in(sessions: Sessions) -> set[str]:
    """Every table that a row with the password is in."""
    tables = [*Base.metadata.tables, JOBS]
    async with sessions() as session:
        found = set()
        for table in tables:
            rows = await session.scalars(text(f"SELECT t::text FROM {table} t"))
            if any(PASSWORD in row for row in rows):
                found.add(table)
        return found


def meta_data(world: World, generation: int) -> dict[str, Any]:
    drive = Path(world.conf.state_path) / "servers" / world.server_id / f"config-{generation}.iso"
    content, iso = io.BytesIO(), PyCdlib()
    iso.open_fp(io.BytesIO(drive.read_bytes()))
    iso.get_file_from_iso_fp(content, rr_path="/openstack/latest/meta_data.json")
    document: dict[str, Any] = json.loads(content.getvalue())
    return document


async def rebuilt(world: World, profile: str = "nova", **wishes: Any) -> str | None:
    """The message of a rebuild with the password, once it has succeeded."""
    await world.ask_rebuild(profile=profile, admin_pass=PASSWORD, **wishes)
    await world.work()
    assert (await world.server()).image_id == NEW
    assert await passwords_in(world.sessions) == set()
    action = (await world.actions())[-1]
    assert action.failed_step is None
    return action.message


async def remark(world: World) -> str | None:
    """What the event of the last step says."""
    async with world.sessions() as session:
        events = list(await session.scalars(text("SELECT max(id) FROM events WHERE name = 'verify_guest'")))
        event = await session.get(Event, events[0])
        assert event is not None
        assert event.result == "Success"
        return event.details


async def test_the_guest_agent_sets_it_and_nothing_keeps_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert await rebuilt(world) is None
    assert (await world.machine_of(2)).passwords == {"root": PASSWORD}
    assert await remark(world) == "adminPass was set for the user root"
    assert meta_data(world, 2)["admin_pass"] == PASSWORD, "cloudbase-init reads it there"
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize(
    ("properties", "user"),
    [({"os_admin_user": "cirros"}, "cirros"), ({"os_type": "windows"}, "Administrator")],
)
async def test_the_image_says_whose_password_it_is(
    world: World, properties: dict[str, str], user: str
) -> None:
    world.glance.add(NEW, world.glance.data[NEW], hw_qemu_guest_agent="yes", **properties)
    assert await rebuilt(world) is None
    assert (await world.machine_of(2)).passwords == {user: PASSWORD}


async def test_profile_noa_has_no_use_for_it(world: World) -> None:
    assert await rebuilt(world, "noa") is None
    assert (await world.machine_of(2)).passwords == {}
    assert "admin_pass" not in meta_data(world, 2)
    assert await remark(world) is None


async def test_an_image_without_an_agent_is_rebuilt_all_the_same_and_the_action_says_so(world: World) -> None:
    world.glance.add(NEW, world.glance.data[NEW])
    message = "adminPass was not applied: the image does not say hw_qemu_guest_agent=yes"
    assert await rebuilt(world) == message
    assert await remark(world) == message
    assert (await world.server()).fault is None
    assert meta_data(world, 2)["admin_pass"] == PASSWORD


async def test_an_agent_that_does_not_set_it(world: World) -> None:
    world.behaviour_of[2] = Behaviour(agent_delay=0, sets_passwords=False)
    message = "adminPass was not applied: the guest agent did not set the password of root"
    assert await rebuilt(world) == message


async def test_a_server_that_is_off(world: World) -> None:
    await world.ask(begin_stop)
    await world.work()
    assert await rebuilt(world) == "adminPass was not applied: the server is off"


@pytest.mark.parametrize("moment", [before, after], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_rebuild_that_fails_forgets_it(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, moment: Callable[[BaseException], Wrap]
) -> None:
    broken = with_step(operations.OPERATIONS["rebuild"], step, moment(ValueError("it broke")))
    monkeypatch.setitem(operations.OPERATIONS, "rebuild", broken)
    await world.ask_rebuild(profile="nova", admin_pass=PASSWORD)
    assert await passwords_in(world.sessions) == {"generations"}
    await world.work()
    await world.assert_old()
    assert await passwords_in(world.sessions) == set()


@pytest.mark.parametrize("moment", [before, after], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_an_agent_killed_at_any_step_does_not_lose_it(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, moment: Callable[[BaseException], Wrap]
) -> None:
    await world.ask_rebuild(profile="nova", admin_pass=PASSWORD)
    with monkeypatch.context() as patch:
        broken = with_step(operations.OPERATIONS["rebuild"], step, moment(Killed()))
        patch.setitem(operations.OPERATIONS, "rebuild", broken)
        await die_working(world)
    await world.work()
    assert (await world.machine_of(2)).passwords == {"root": PASSWORD}
    assert await passwords_in(world.sessions) == set()


async def test_a_new_server_finds_it_on_its_config_drive_alone(
    tmp_path: Path, engine: AsyncEngine, jobs: procrastinate.App
) -> None:
    world = World(tmp_path, engine, jobs)
    await world.create(admin_pass=PASSWORD)
    assert meta_data(world, 1)["admin_pass"] == PASSWORD
    assert (await world.machine_of(1)).passwords == {}
    assert await passwords_in(world.sessions) == set()
    await world.ask_rebuild(profile="noa")
    await world.work()
    assert "admin_pass" not in meta_data(world, 2)


@pytest.fixture(params=["noa", "nova"])
async def api(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Api]:
    async with api_without_agent(database, tmp_path, f"[compute]\nprofile = {request.param}\n") as api:
        yield api


async def test_what_a_request_stores_of_it(api: Api, request: pytest.FixtureRequest) -> None:
    profile = request.node.callspec.params["api"]
    stored = {"generations"} if profile == "nova" else set()
    server_id = await api.new(adminPass=PASSWORD, finished=False)
    assert await passwords_in(api.sessions) == stored
    await api.finish(server_id)
    assert await passwords_in(api.sessions) == set()
    body = {"imageRef": api.other_image, "adminPass": PASSWORD}
    assert (await api.act(server_id, "planRebuild", body)).status_code == 200
    assert await passwords_in(api.sessions) == set()
    assert (await api.act(server_id, "rebuild", body)).json()["server"]["adminPass"] == PASSWORD
    assert await passwords_in(api.sessions) == stored
    assert (await api.call("DELETE", f"/servers/{server_id}")).status_code == 204
