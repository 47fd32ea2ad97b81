"""The agent's own small ASGI app, for what the API must answer at once from this host: console output, and
the SSH host keys that a console has shown.

It listens on a unix socket and answers only who shows a token for the server and the purpose. Nothing here
changes the state of a server.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from granian.constants import Interfaces
from granian.server.embed import Server
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from renova.agent.host_keys import HostKeys
from renova.agent.qemu.face import Hypervisor
from renova.clients.agent_token import CONSOLE, SSH_HOST_KEYS, TokenRefused, verify
from renova.errors import RenovaError
from renova.host_key import HOST_KEYS


def create_app(hypervisor: Hypervisor, host_keys: HostKeys, secret: str) -> Starlette:
    """`GET /servers/{id}/console?length=N`: the newest N lines as text, all where no length is given.
    `GET /servers/{id}/ssh-host-keys?generation=N`: JSON, a list of `HostKey`.

    401 without a good token, 400 for a number that is none.
    """

    async def console(server_id: str, query: QueryParams) -> Response:
        length = query.get("length")
        lines = None if length is None else max(int(length), 0)
        return PlainTextResponse(await hypervisor.console_output(server_id, lines))

    async def ssh_host_keys(server_id: str, query: QueryParams) -> Response:
        keys = await host_keys.of(server_id, int(query.get("generation", "")))
        return Response(HOST_KEYS.dump_json(keys), media_type="application/json")

    def route(purpose: str, answer: Callable[[str, QueryParams], Awaitable[Response]]) -> Route:
        async def checked(request: Request) -> Response:
            server_id = request.path_params["server_id"]
            token = request.headers.get("Authorization", "").removeprefix("Bearer ")
            try:
                verify(secret, token, server_id, purpose)
                return await answer(server_id, request.query_params)
            except TokenRefused as error:
                return PlainTextResponse(error.message, error.code)
            except ValueError:
                return PlainTextResponse("not a number", 400)

        return Route(f"/servers/{{server_id}}/{purpose}", checked)

    return Starlette(routes=[route(CONSOLE, console), route(SSH_HOST_KEYS, ssh_host_keys)])


async def serve(hypervisor: Hypervisor, host_keys: HostKeys, socket: Path, secret: str | None) -> None:
    """Serve the app on a unix socket that only this user may open, until cancelled.

    Raises RenovaError where there is no secret: an agent without one would answer anybody.
    """
    if not secret:
        raise RenovaError("[agent] secret is not set")
    await asyncio.to_thread(socket.unlink, missing_ok=True)
    app = create_app(hypervisor, host_keys, secret)
    server = Server(app, uds=socket, interface=Interfaces.ASGINL, log_enabled=False)
    server.uds_permissions = 0o600
    serving = asyncio.create_task(server.serve())
    try:
        await asyncio.shield(serving)
    finally:
        server.stop()  # type: ignore[no-untyped-call]
        await serving
