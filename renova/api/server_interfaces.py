"""`/servers/{server_id}/os-interface` and `os-security-groups`: the network cards that a server has.

There is no network service that could add one or take one away, and one security group per project that
lets everything through.
"""

from typing import ClassVar

from renova.api.forms import NEVER
from renova.api.policies import ATTACH_INTERFACES, SECURITY_GROUPS
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.server_interfaces import AttachInterface
from renova.api.servers import found
from renova.api.views.server_interfaces import Interface, SecurityGroup
from renova.errors import Invalid, NotFound, RenovaError

routes = Routes()

ALL = "/servers/{server_id}/os-interface"
ONE = ALL + "/{port_id}"


class NotSupported(RenovaError):
    """The requested functionality is not supported."""

    code: ClassVar[int] = 501


@routes.on("GET", ALL, answer={"interfaceAttachments": [Interface]})
async def index(call: Call) -> Answer:
    async with call.transaction() as session:
        server = await found(call, session, ATTACH_INTERFACES + "list")
    return Answer({"interfaceAttachments": [Interface.of(port) for port in server.ports]})


@routes.on("GET", ONE, answer={"interfaceAttachment": Interface})
async def show(call: Call) -> Answer:
    async with call.transaction() as session:
        server = await found(call, session, ATTACH_INTERFACES + "show")
    for port in server.ports:
        if port.id == call.path["port_id"]:
            return Answer({"interfaceAttachment": Interface.of(port)})
    raise NotFound(f"Instance {server.id} does not have a port with id {call.path['port_id']}")


@routes.on("POST", ALL, body=AttachInterface, status=NEVER)
async def attach(call: Call) -> Answer:
    asked = call.parse(AttachInterface).attachment
    async with call.transaction() as session:
        server = await found(call, session, ATTACH_INTERFACES + "create")
    if asked is not None and asked.net_id and asked.port_id:
        raise Invalid("Must not input both network_id and port_id")
    if asked is not None and asked.fixed_ips and not asked.net_id:
        raise Invalid("Must input network_id when request IP address")
    raise Invalid(f"Attaching interfaces is not supported for instance {server.id}.")


@routes.on("DELETE", ONE, status=NEVER)
async def detach(call: Call) -> Answer:
    async with call.transaction() as session:
        server = await found(call, session, ATTACH_INTERFACES + "delete")
    if call.path["port_id"] not in {port.id for port in server.ports}:
        raise NotFound(f"Port id {call.path['port_id']} could not be found.")
    raise NotSupported


@routes.on("GET", "/servers/{server_id}/os-security-groups", answer={"security_groups": [SecurityGroup]})
async def list_security_groups(call: Call) -> Answer:
    async with call.transaction() as session:
        server = await found(call, session, SECURITY_GROUPS + "list")
    return Answer({"security_groups": [SecurityGroup.default(server.project_id)]})
