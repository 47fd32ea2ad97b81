"""`GET /servers/{server_id}/ssh-host-keys`, an addition to Nova: what a guest's console says of its keys."""

from renova.api.marked import View
from renova.api.policies import SERVERS
from renova.api.requests import Answer, Call, Routes
from renova.api.servers import found
from renova.clients import agent as agents
from renova.compute import hosts
from renova.errors import Unavailable

routes = Routes()


class SshHostKey(View):
    """As `renova.host_key.HostKey`."""

    type: str
    fingerprint: str
    public_key: str | None


@routes.on("GET", "/servers/{server_id}/ssh-host-keys", answer={"ssh_host_keys": [SshHostKey]})
async def index(call: Call) -> Answer:
    """Those of the system that is the server's now; none until its console has shown them."""
    async with call.reading() as session:
        server = await found(call, session, SERVERS + "show")
        agent = await hosts.agent_of(session, server.host)
    secret = call.parts.conf.agent.secret
    if not secret:
        raise Unavailable("[agent] secret is not set.")
    # The transaction has ended: the agent may take its time.
    keys = await agents.ssh_host_keys(agent.address, server.id, server.generation, secret)
    return Answer({"ssh_host_keys": [SshHostKey(**vars(key)) for key in keys]})
