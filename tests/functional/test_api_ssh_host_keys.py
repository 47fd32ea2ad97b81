"""`GET /servers/{id}/ssh-host-keys`, the agent's socket behind it a real one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from renova.agent import console
from renova.agent.host_keys import HostKeys
from renova.agent.qemu import MachineSpec
from renova.agent.qemu.fake import Behaviour, FakeHypervisor
from tests.functional.api_without_agent import Api, api_without_agent
from tests.unit.test_host_keys import BOOT, FIRST, written

SECRET = "a secret that is long enough for HMAC"


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with api_without_agent(database, tmp_path, f"[agent]\nsecret = {SECRET}\n") as api:
        yield api


@pytest.fixture
async def hypervisor(api: Api, open_directory: Path) -> AsyncIterator[FakeHypervisor]:
    """The host of the servers: the first system writes its keys, the second has not come so far."""
    said = {1: written(FIRST), 2: BOOT}
    hypervisor = FakeHypervisor(lambda spec: Behaviour(console=said[spec.generation]))
    socket = open_directory / "agent.sock"
    serving = asyncio.create_task(
        console.serve(hypervisor, HostKeys(hypervisor, open_directory), socket, SECRET)
    )
    async with asyncio.timeout(10):
        while not socket.exists():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    async with api.sessions.begin() as session:
        await session.execute(text("UPDATE services SET address = :it"), {"it": f"unix:{socket}"})
    yield hypervisor
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def run(hypervisor: FakeHypervisor, server_id: str, generation: int) -> None:
    if (machine := hypervisor.get(server_id)) is not None:
        await machine.quit()
    await hypervisor.start(MachineSpec(server_id, generation, "web", 1, 64, "/base", "raw", "/root"))


async def test_they_are_those_of_the_system_that_is_the_servers(api: Api, hypervisor: FakeHypervisor) -> None:
    server_id = await api.new()
    path = f"/servers/{server_id}/ssh-host-keys"
    assert await api.get(path) == {"ssh_host_keys": []}
    await run(hypervisor, server_id, 1)
    for who in (api.member, api.reader):
        assert await api.get(path, who=who) == {"ssh_host_keys": [vars(FIRST)]}
    await api.act(server_id, "rebuild", {"imageRef": api.other_image})
    await api.finish_rebuild(server_id)
    assert await api.get(path) == {"ssh_host_keys": []}
    await run(hypervisor, server_id, 2)
    assert await api.get(path) == {"ssh_host_keys": []}


async def test_who_may_not_see_the_server_sees_none(api: Api, hypervisor: FakeHypervisor) -> None:
    server_id = await api.new()
    await run(hypervisor, server_id, 1)
    path = f"/servers/{server_id}/ssh-host-keys"
    answer = await api.call("GET", path, who=api.stranger, prefix="/v2.1")
    assert answer.status_code == 404
    assert (await api.call("GET", "/servers/none/ssh-host-keys")).status_code == 404


async def test_an_agent_that_is_away_is_unavailable(api: Api) -> None:
    server_id = await api.new()
    assert (await api.call("GET", f"/servers/{server_id}/ssh-host-keys")).status_code == 503
