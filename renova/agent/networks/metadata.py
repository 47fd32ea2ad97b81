"""The metadata service: what stands on a guest's config drive, for a guest that asks 169.254.169.254.

Who asks is known by its address alone: the firewall lets no guest use another's, and lets nobody else in.
The paths are OpenStack's, as on the drive, and EC2's. Sources: Nova's user guide, "Metadata";
nova/api/metadata for the forms of lists.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from granian.constants import Interfaces
from granian.server.embed import Server as HttpServer
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from renova.agent.config_drive import ConfigDrive, files_of
from renova.agent.generation_files import drive_of
from renova.agent.networks.face import Networks
from renova.agent.networks.firewall import METADATA_PORT
from renova.db.session import DATABASE_AWAY, Sessions
from renova.db.tables import Generation, Port, Server

log = logging.getLogger(__name__)
# Seconds between two tries to listen.
AGAIN = 10
# Versions of EC2's metadata that clients ask for by name.
EC2_VERSIONS = ("2009-04-04", "latest")

# What the guest with this address is to be told; None where there is no such guest.
Find = Callable[[str], Awaitable[ConfigDrive | None]]
Tree = Mapping[str, "bytes | Tree"]


def create_app(find: Find) -> Starlette:
    """Answers every GET from the documents of whoever asks: 404 for strangers and unknown paths, 503 while
    the database is away.
    """

    async def answer(request: Request) -> Response:
        address = request.client.host if request.client else ""
        try:
            drive = await find(address)
        except DATABASE_AWAY:
            return PlainTextResponse("The metadata can't be read now.", 503, {"Retry-After": "2"})
        if drive is None:
            return PlainTextResponse("Not Found", 404)
        found: Any = tree_of(drive, address)
        for part in filter(None, request.url.path.split("/")):
            found = found.get(part) if isinstance(found, Mapping) else None
        if found is None:
            return PlainTextResponse("Not Found", 404)
        if isinstance(found, bytes):
            kind = "application/json" if request.url.path.endswith(".json") else "text/plain; charset=utf-8"
            return Response(found, media_type=kind)
        return PlainTextResponse(_listing(found, request.url.path, drive.key_name))

    return Starlette(routes=[Route("/{path:path}", answer)])


def tree_of(drive: ConfigDrive, address: str) -> Tree:
    """Files and directories by their names. `address` is the guest's own."""
    tree: dict[str, Any] = {}
    files = files_of(drive)
    for path, content in files.items():
        *directories, name = path.split("/")
        place = tree
        for directory in directories:
            place = place.setdefault(directory, {})
        place[name] = content
    ec2 = _leaves(json.loads(files["ec2/latest/meta-data.json"]) | {"local-ipv4": address})
    for version in EC2_VERSIONS:
        tree[version] = {"meta-data": ec2}
        if "user-data" in tree["ec2"]["latest"]:
            tree[version]["user-data"] = tree["ec2"]["latest"]["user-data"]
    return tree


def _leaves(document: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON document as files: every string becomes the content of one."""
    return {
        name: _leaves(value) if isinstance(value, dict) else str(value).encode()
        for name, value in document.items()
    }


def _listing(tree: Tree, path: str, key_name: str | None) -> str:
    """One name a line. EC2's lists mark directories with a slash, and keys with their names."""
    parts = [*filter(None, path.split("/"))]
    if parts[-1:] == ["public-keys"]:
        return "\n".join(f"{number}={key_name}" for number in tree)
    ec2 = parts[:1] != ["openstack"]
    return "\n".join(
        sorted(f"{name}/" if ec2 and isinstance(value, Mapping) else name for name, value in tree.items())
    )


class Metadata:
    """The service of one host's networks."""

    def __init__(self, sessions: Sessions, networks: Networks) -> None:
        self._sessions = sessions
        self._networks = networks

    async def serve(self, network_id: str, gateway: str) -> None:
        """Answer the guests of one network on its bridge's address, until cancelled."""

        async def find(address: str) -> ConfigDrive | None:
            return await self.drive(network_id, address)

        app = create_app(find)
        while True:
            server = HttpServer(
                app, address=gateway, port=METADATA_PORT, interface=Interfaces.ASGINL, log_enabled=False
            )
            serving = asyncio.create_task(server.serve())
            try:
                await asyncio.shield(serving)
            except RuntimeError as error:  # Its own word for an address that can't be listened on.
                log.warning("No metadata on %s: %s", gateway, str(error).partition("\n")[0])
            finally:
                server.stop()  # type: ignore[no-untyped-call]
                await asyncio.gather(serving, return_exceptions=True)
            await asyncio.sleep(AGAIN)

    async def drive(self, network_id: str, address: str) -> ConfigDrive | None:
        """What the config drive of the server with this address says, in the generation that runs."""
        async with self._sessions() as session:
            port = select(Port.server_id).where(Port.network_id == network_id, Port.address == address)
            server: Server | None = await session.scalar(
                select(Server)
                .where(Server.id.in_(port))
                .options(selectinload(Server.ports).options(joinedload(Port.network)))
            )
            if server is None:
                return None
            generation = await session.get(Generation, (server.id, server.generation))
        return None if generation is None else drive_of(server, generation, self._networks)
