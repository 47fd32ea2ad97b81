"""What a client sees of a server's network cards and of what is let through to them.

Source: Nova's API reference, "Port interfaces" and "Servers security groups".
"""

import uuid
from typing import Annotated, Self

from renova.api.marked import View
from renova.api.microversions import since
from renova.db.tables import Port


class Interface(View):
    """A network of ours has one subnet, which goes by the network's id. Tags are not kept."""

    port_id: str
    net_id: str
    mac_addr: str
    port_state: str
    fixed_ips: list[dict[str, str]]
    tag: Annotated[str | None, since("2.70")]

    @classmethod
    def of(cls, port: Port) -> Self:
        return cls(
            port_id=port.id,
            net_id=port.network_id,
            mac_addr=port.mac,
            port_state="ACTIVE",  # A port is there as long as its server has it.
            fixed_ips=[{"ip_address": port.address, "subnet_id": port.network_id}],
            tag=None,
        )


class SecurityRule(View):
    id: str
    parent_group_id: str
    ip_protocol: str | None
    from_port: int | None
    to_port: int | None
    group: dict[str, str]
    ip_range: dict[str, str]


class SecurityGroup(View):
    id: str
    name: str
    description: str
    tenant_id: str
    rules: list[SecurityRule]

    @classmethod
    def default(cls, project_id: str) -> Self:
        """The one group of a project. Its id is made from the project's, the same at every request."""
        group_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"default security group of {project_id}"))
        everything = SecurityRule(
            id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"rule of {group_id}")),
            parent_group_id=group_id,
            ip_protocol=None,
            from_port=None,
            to_port=None,
            group={},
            ip_range={"cidr": "0.0.0.0/0"},
        )
        return cls(
            id=group_id,
            name="default",
            description="Default security group",
            tenant_id=project_id,
            rules=[everything],
        )


class ForwardedPort(View):
    """A port of the loopback of the server's host, and the guest's port that it leads to."""

    port_id: str
    host_address: str
    host_port: int
    guest_address: str
    guest_port: int

    @classmethod
    def of(cls, port: Port) -> Self:
        assert port.ssh_port is not None
        return cls(
            port_id=port.id,
            host_address="127.0.0.1",
            host_port=port.ssh_port,
            guest_address=port.address,
            guest_port=22,
        )
