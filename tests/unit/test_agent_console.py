"""Console output and host keys from the agent's socket to the API's side of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from renova.agent import console, disks
from renova.agent.host_keys import HostKeys
from renova.agent.qemu import MachineSpec
from renova.agent.qemu.fake import Behaviour, FakeHypervisor
from renova.clients.agent import console_output, ssh_host_keys
from renova.clients.agent_token import CONSOLE, LIFETIME, SSH_HOST_KEYS, sign
from renova.errors import RenovaError, Unavailable
from renova.host_key import HOST_KEYS, HostKey

SECRET = "a secret that is long enough for HMAC"
SERVER = "5ba5a66f-1d3c-4d2d-9b1b-1f0e8f4dbe0e"
KEY = HostKey("ssh-ed25519", "SHA256:x", None)
SPEC = MachineSpec(SERVER, 1, "web", 1, 64, "/base", "raw", "/root")


@pytest.fixture
async def hypervisor() -> FakeHypervisor:
    hypervisor = FakeHypervisor(lambda _: Behaviour(console="one\ntwo\nthree"))
    await hypervisor.start(SPEC)
    return hypervisor


@contextlib.asynccontextmanager
async def serving(hypervisor: FakeHypervisor, host_keys: HostKeys, socket: Path) -> AsyncIterator[None]:
    task = asyncio.create_task(console.serve(hypervisor, host_keys, socket, SECRET))
    async with asyncio.timeout(10):
        while not socket.exists():  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.01)
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert not socket.exists()  # noqa: ASYNC240


@pytest.fixture
async def address(hypervisor: FakeHypervisor, open_directory: Path) -> AsyncIterator[str]:
    socket = open_directory / "agent.sock"
    async with serving(hypervisor, HostKeys(hypervisor, open_directory), socket):
        yield f"unix:{socket}"


@pytest.mark.parametrize(
    ("length", "output"),
    [(None, "one\ntwo\nthree"), (-1, "one\ntwo\nthree"), (2, "two\nthree"), (0, ""), (9, "one\ntwo\nthree")],
)
async def test_the_newest_lines_are_answered(address: str, length: int | None, output: str) -> None:
    assert await console_output(address, SERVER, length, SECRET) == output


async def test_a_server_that_never_ran_has_no_output(address: str) -> None:
    assert await console_output(address, "00000000-1d3c-4d2d-9b1b-1f0e8f4dbe0e", None, SECRET) == ""


async def test_nobody_is_answered_without_the_secret(address: str) -> None:
    with pytest.raises(Unavailable, match="401"):
        await console_output(address, SERVER, None, "another secret that is long enough, too")


@pytest.mark.parametrize("path", ["relative.sock", "unix:/nowhere/agent.sock"])
async def test_an_agent_that_is_not_there_is_said_to_be_unavailable(path: str) -> None:
    with pytest.raises(Unavailable):
        await console_output(path, SERVER, None, SECRET)


async def test_an_agent_without_a_secret_refuses_to_serve(
    hypervisor: FakeHypervisor, open_directory: Path
) -> None:
    keys = HostKeys(hypervisor, open_directory)
    with pytest.raises(RenovaError, match="secret is not set"):
        await console.serve(hypervisor, keys, open_directory / "agent.sock", None)


@pytest.mark.parametrize(
    ("server_id", "purpose", "age"),
    [(SERVER, SSH_HOST_KEYS, 0), ("another", CONSOLE, 0), (SERVER, CONSOLE, 2 * LIFETIME.total_seconds())],
)
async def test_a_token_is_good_for_one_server_one_purpose_and_a_short_time(
    hypervisor: FakeHypervisor, monkeypatch: pytest.MonkeyPatch, server_id: str, purpose: str, age: float
) -> None:
    monkeypatch.setattr("renova.clients.agent_token.LIFETIME", LIFETIME - timedelta(seconds=age))
    token = sign(SECRET, server_id, purpose)

    answer = await ask(hypervisor, f"/servers/{SERVER}/console", token)

    assert answer.status_code == 401
    assert "three" not in answer.text


async def test_a_length_that_is_no_number_is_refused(hypervisor: FakeHypervisor) -> None:
    token = sign(SECRET, SERVER, CONSOLE)

    assert (await ask(hypervisor, f"/servers/{SERVER}/console?length=x", token)).status_code == 400


async def test_host_keys_are_answered_by_generation(hypervisor: FakeHypervisor, open_directory: Path) -> None:
    host_keys = HostKeys(hypervisor, open_directory)
    path = disks.host_keys_path(disks.server_directory(open_directory, SERVER), 1)
    path.parent.mkdir(parents=True)
    path.write_bytes(HOST_KEYS.dump_json([KEY]))
    socket = open_directory / "keys.sock"
    async with serving(hypervisor, host_keys, socket):
        assert await ssh_host_keys(f"unix:{socket}", SERVER, 1, SECRET) == [KEY]
        assert await ssh_host_keys(f"unix:{socket}", SERVER, 2, SECRET) == []


@pytest.mark.parametrize("query", ["", "?generation=x"])
async def test_a_generation_that_is_no_number_is_refused(hypervisor: FakeHypervisor, query: str) -> None:
    token = sign(SECRET, SERVER, SSH_HOST_KEYS)

    assert (await ask(hypervisor, f"/servers/{SERVER}/ssh-host-keys{query}", token)).status_code == 400


async def ask(hypervisor: FakeHypervisor, path: str, token: str) -> httpx.Response:
    transport = httpx.ASGITransport(console.create_app(hypervisor, HostKeys(hypervisor, "/nowhere"), SECRET))
    async with httpx.AsyncClient(transport=transport, base_url="http://agent") as client:
        return await client.get(path, headers={"Authorization": f"Bearer {token}"})
