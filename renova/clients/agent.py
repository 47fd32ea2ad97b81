"""An agent's own socket, as the API uses it: what must be answered at once from the host of a server."""

import httpx

from renova.clients.agent_token import CONSOLE, SSH_HOST_KEYS, sign
from renova.errors import Unavailable
from renova.host_key import HOST_KEYS, HostKey

# Seconds: a client waits for the answer meanwhile.
TIMEOUT = 10.0
UNIX = "unix:"


async def console_output(service_address: str, server_id: str, length: int | None, secret: str) -> str:
    """The newest `length` lines of a server's console, from the agent at `service_address` (unix:/path).

    As in Nova, None and -1 mean all of it and 0 means none. Raises Unavailable where the agent is not there.
    """
    query = {} if length is None or length < 0 else {"length": length}
    return (await _ask(service_address, server_id, CONSOLE, query, secret)).text


async def ssh_host_keys(service_address: str, server_id: str, generation: int, secret: str) -> list[HostKey]:
    """What the console of a generation has shown of its guest's keys. Raises Unavailable."""
    answer = await _ask(service_address, server_id, SSH_HOST_KEYS, {"generation": generation}, secret)
    return HOST_KEYS.validate_json(answer.content)


async def _ask(
    service_address: str, server_id: str, purpose: str, query: dict[str, int], secret: str
) -> httpx.Response:
    if not service_address.startswith(UNIX):
        raise Unavailable(f"The agent's address {service_address} is not a unix socket.")
    transport = httpx.AsyncHTTPTransport(uds=service_address.removeprefix(UNIX))
    headers = {"Authorization": f"Bearer {sign(secret, server_id, purpose)}"}
    async with httpx.AsyncClient(transport=transport, timeout=TIMEOUT, headers=headers) as client:
        try:
            response = await client.get(f"http://agent/servers/{server_id}/{purpose}", params=query)
        except httpx.TransportError as error:
            raise Unavailable("The host of the server does not answer.") from error
    if response.status_code != httpx.codes.OK:
        raise Unavailable(f"The host of the server answered {response.status_code}.")
    return response
