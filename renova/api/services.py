"""`/os-services` and `/os-availability-zone`: where servers run."""

from renova.api.policies import AVAILABILITY_ZONE, SERVICES
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.services import ListServices
from renova.api.views.services import ServiceView, ZoneView, zones
from renova.compute.services import list_services

routes = Routes()

ZONES = {"availabilityZoneInfo": [ZoneView]}


@routes.on("GET", "/os-services", query=ListServices, answer={"services": [ServiceView]})
async def index(call: Call) -> Answer:
    query = call.query(ListServices)
    call.can(SERVICES + "list")
    async with call.reading() as session:
        services = await list_services(session, host=query.host or None, name=query.binary or None)
    return Answer({"services": [ServiceView.of(service) for service in services]})


@routes.on("GET", "/os-availability-zone", answer=ZONES)
async def list_zones(call: Call) -> Answer:
    call.can(AVAILABILITY_ZONE + "list")
    return await _zones(call, detailed=False)


@routes.on("GET", "/os-availability-zone/detail", answer=ZONES)
async def list_zones_in_detail(call: Call) -> Answer:
    call.can(AVAILABILITY_ZONE + "detail")
    return await _zones(call, detailed=True)


async def _zones(call: Call, *, detailed: bool) -> Answer:
    async with call.reading() as session:
        services = await list_services(session)
    return Answer({"availabilityZoneInfo": zones(services, detailed=detailed)})
