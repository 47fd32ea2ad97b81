"""`/servers/{server_id}/topology`, since 2.78. Source: Nova's API reference, "Servers Topology"."""

from renova.api.microversions import since
from renova.api.policies import SERVER_TOPOLOGY
from renova.api.requests import Answer, Call, Routes
from renova.api.servers import found

routes = Routes()


@routes.on(
    "GET",
    "/servers/{server_id}/topology",
    since("2.78"),
    answer={"nodes": list[dict[str, str]], "pagesize_kb": int | None},
)
async def index(call: Call) -> Answer:
    """No server here has a NUMA topology of its own: this is what Nova says of such a server."""
    async with call.reading() as session:
        await found(call, session, SERVER_TOPOLOGY + "index")
    return Answer({"nodes": [], "pagesize_kb": None})
