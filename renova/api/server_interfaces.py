"""`/servers/{server_id}/os-interface` and `os-security-groups`: the network cards that a server has.

Cards come and go while the server is off. There is one security group per project that lets everything
through. `forwarded-ports` is Renova's own.
"""

from renova.api.policies import ATTACH_INTERFACES, SECURITY_GROUPS
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.server_interfaces import AttachInterface, NewInterface
from renova.api.servers import found
from renova.api.views.server_interfaces import ForwardedPort, Interface, SecurityGroup
from renova.compute import interfaces
from renova.compute.networks import WantedPort
from renova.errors import Invalid, NotFound

routes = Routes()

ALL = "/servers/{server_id}/os-interface"
ONE = ALL + "/{port_id}"


@routes.on("GET", ALL, answer={"interfaceAttachments": [Interface]})
async def index(call: Call) -> Answer:
    async with call.reading() as session:
        server = await found(call, session, ATTACH_INTERFACES + "list")
    return Answer({"interfaceAttachments": [Interface.of(port) for port in server.ports]})


@routes.on("GET", ONE, answer={"interfaceAttachment": Interface})
async def show(call: Call) -> Answer:
    async with call.reading() as session:
        server = await found(call, session, ATTACH_INTERFACES + "show")
    for port in server.ports:
        if port.id == call.path["port_id"]:
            return Answer({"interfaceAttachment": Interface.of(port)})
    raise NotFound(f"Instance {server.id} does not have a port with id {call.path['port_id']}")


@routes.on("POST", ALL, body=AttachInterface, answer={"interfaceAttachment": Interface})
async def attach(call: Call) -> Answer:
    asked = call.parse(AttachInterface).attachment or NewInterface()
    async with call.transaction() as session:
        server = await found(call, session, ATTACH_INTERFACES + "create")
        if asked.net_id and asked.port_id:
            raise Invalid("Must not input both network_id and port_id")
        if asked.fixed_ips and not asked.net_id:
            raise Invalid("Must input network_id when request IP address")
        if asked.port_id:
            raise NotFound(f"Port id {asked.port_id} could not be found.")
        address = asked.fixed_ips[0].ip_address if asked.fixed_ips else None
        port = await interfaces.attach(session, call.caller, server, WantedPort(asked.net_id, address))
    return Answer({"interfaceAttachment": Interface.of(port)})


@routes.on("DELETE", ONE, status=202)
async def detach(call: Call) -> Answer:
    async with call.transaction() as session:
        server = await found(call, session, ATTACH_INTERFACES + "delete")
        await interfaces.detach(session, call.caller, server, call.path["port_id"])
    return Answer()


@routes.on("GET", "/servers/{server_id}/forwarded-ports", answer={"forwarded_ports": [ForwardedPort]})
async def list_forwarded_ports(call: Call) -> Answer:
    """Where a guest on a user network is reached; nothing for one on a bridge or that never ran."""
    async with call.reading() as session:
        server = await found(call, session, ATTACH_INTERFACES + "list")
    return Answer({"forwarded_ports": [ForwardedPort.of(port) for port in server.ports if port.ssh_port]})


@routes.on("GET", "/servers/{server_id}/os-security-groups", answer={"security_groups": [SecurityGroup]})
async def list_security_groups(call: Call) -> Answer:
    async with call.reading() as session:
        server = await found(call, session, SECURITY_GROUPS + "list")
    return Answer({"security_groups": [SecurityGroup.default(server.project_id)]})
