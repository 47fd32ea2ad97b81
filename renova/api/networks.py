"""`/os-networks`: the networks that a server can be on, as Nova served them up to 2.35.

There is no network service; the ordinary client turns a network's name into its id here.
"""

from renova.api.microversions import until
from renova.api.policies import NETWORKS
from renova.api.requests import Answer, Call, Routes
from renova.api.views.networks import NetworkView
from renova.compute import networks
from renova.errors import Invalid, NotFound

routes = Routes()

UP_TO = until("2.35")


@routes.on("GET", "/os-networks", UP_TO, answer={"networks": [NetworkView]})
async def index(call: Call) -> Answer:
    call.can(NETWORKS + "list")
    async with call.reading() as session:
        found = await networks.list_networks(session)
    return Answer({"networks": [NetworkView.of(network) for network in found]})


@routes.on("GET", "/os-networks/{network_id}", UP_TO, answer={"network": NetworkView})
async def show(call: Call) -> Answer:
    call.can(NETWORKS + "show")
    async with call.reading() as session:
        try:
            network = await networks.find_network(session, call.path["network_id"])
        except Invalid as error:
            raise NotFound(error.message) from error
    return Answer({"network": NetworkView.of(network)})
