"""One host's bridges, and what stands in the place of guests on them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress

import httpx

from renova.agent.networks.bridge import BridgedNetworks
from renova.agent.qemu import NetworkCard
from tests.functional.agent_world import World, with_ports
from tests.functional.bridges.plugged import Namespace, Plugged


@asynccontextmanager
async def serving(networks: BridgedNetworks) -> AsyncIterator[None]:
    """What an agent does with its networks from its start to its end."""
    await networks.set_up()
    task = asyncio.create_task(networks.serve())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Site:
    """Servers of a world, and what stands in the place of their guests."""

    def __init__(self, world: World, networks: BridgedNetworks, stack: ExitStack) -> None:
        self.world, self.networks, self.stack = world, networks, stack

    async def card(self) -> NetworkCard:
        await self.world.create()
        (card,) = await self.networks.cards(await with_ports(self.world, self.world.server_id), ())
        return card

    async def guest(self) -> Plugged:
        return self.stack.enter_context(Plugged(await self.card()))


async def reaches(guest: Namespace, address: str, port: int, source: str = "") -> bool:
    return await asyncio.to_thread(guest.reaches, address, port, source)


async def ask(guest: Plugged, path: str) -> httpx.Response:
    """What the metadata service answers to a guest."""

    def asked() -> httpx.Response:
        with guest.open() as connection:
            connection.settimeout(10)
            connection.connect(("169.254.169.254", 80))
            connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")
        status = int(head.split()[1])
        return httpx.Response(status, content=body)

    return await asyncio.to_thread(asked)
