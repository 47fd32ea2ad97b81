"""The agent's own small ASGI app, for what the API must answer at once from this host: console output.

It listens on a unix socket and answers only who shows a token for the server and the purpose. Nothing here
changes the state of a server.
"""

import asyncio
from pathlib import Path

from granian.constants import Interfaces
from granian.server.embed import Server
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from renova.agent.qemu.face import Hypervisor
from renova.clients.agent_token import CONSOLE, TokenRefused, verify
from renova.errors import RenovaError


def create_app(hypervisor: Hypervisor, secret: str) -> Starlette:
    """`GET /servers/{id}/console?length=N`: the newest N lines as text, all where no length is given.

    401 without a good token, 400 for a length that is no number.
    """

    async def console(request: Request) -> PlainTextResponse:
        server_id = request.path_params["server_id"]
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            verify(secret, token, server_id, CONSOLE)
            length = request.query_params.get("length")
            lines = None if length is None else max(int(length), 0)
        except TokenRefused as error:
            return PlainTextResponse(error.message, error.code)
        except ValueError:
            return PlainTextResponse("length is not a number", 400)
        return PlainTextResponse(await hypervisor.console_output(server_id, lines))

    return Starlette(routes=[Route("/servers/{server_id}/console", console)])


async def serve(hypervisor: Hypervisor, socket: Path, secret: str | None) -> None:
    """Serve the app on a unix socket that only this user may open, until cancelled.

    Raises RenovaError where there is no secret: an agent without one would answer anybody.
    """
    if not secret:
        raise RenovaError("[agent] secret is not set")
    await asyncio.to_thread(socket.unlink, missing_ok=True)
    server = Server(
        create_app(hypervisor, secret), uds=socket, interface=Interfaces.ASGINL, log_enabled=False
    )
    server.uds_permissions = 0o600
    serving = asyncio.create_task(server.serve())
    try:
        await asyncio.shield(serving)
    finally:
        server.stop()  # type: ignore[no-untyped-call]
        await serving
