"""What a client sees of a server, at each microversion.

Three answers grow from one heart: what PUT answers, what a rebuild answers, and what show and detail answer.
Since 2.75 the first two are as whole as the third. Source: Nova's API reference, "Servers (servers)", and
doc/api_samples/servers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from renova.api.marked import View
from renova.api.microversions import since, until
from renova.api.views import image_properties
from renova.api.views.addresses import Address, PortAddress, addresses
from renova.api.views.embedded import EmbeddedFlavor, Fault, ImageReference, Reference, fault_of, reference
from renova.api.views.hosts import host_id
from renova.api.views.links import Links
from renova.api.views.times import to_the_microsecond, to_the_second
from renova.compute import metadata
from renova.compute.states import VmState, status_of
from renova.db.tables import Server

# The statuses in which Nova shows `progress` at all.
_WITH_PROGRESS = frozenset({"ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING"})
# Nova knows no other group unless a network service says so, and there is none here.
DEFAULT_GROUP = [{"name": "default"}]


@dataclass(frozen=True)
class Sight:
    """What one caller may see of servers in one request, by policy, and how links to them begin."""

    links: Links
    host_attributes: bool = False
    extra_specs: bool = False
    fault_details: bool = False
    # By host, of the hosts whose status this caller may see.
    host_status: Mapping[str, str] = field(default_factory=dict)


class ServerEntry(View):
    """One server of GET /servers."""

    id: str
    name: str
    links: list[dict[str, str]]


class ServerBase(ServerEntry):
    """What every answer about a server has."""

    status: str
    tenant_id: str
    user_id: str
    metadata: dict[str, str]
    host_id: Annotated[str, Field(alias="hostId")]
    image: ImageReference
    flavor_reference: Annotated[Reference, Field(alias="flavor"), until("2.46")]
    embedded_flavor: Annotated[EmbeddedFlavor, Field(alias="flavor"), since("2.47")]
    created: str
    updated: str
    access_ip_v4: Annotated[str, Field(alias="accessIPv4")]
    access_ip_v6: Annotated[str, Field(alias="accessIPv6")]
    disk_config: Annotated[str, Field(alias="OS-DCF:diskConfig")]
    progress: int | None = None
    fault: Fault | None = None
    locked: Annotated[bool, since("2.9")]
    description: Annotated[str | None, since("2.19")]
    tags: Annotated[list[str], since("2.26")]
    trusted_image_certificates: Annotated[list[str] | None, since("2.63")]
    locked_reason: Annotated[str | None, since("2.73")]


class Grouped(View):
    """What every answer about one server has, and no list."""

    server_groups: Annotated[list[str], since("2.71")]


class ServerAnswer(ServerBase, Grouped):
    """What PUT /servers/{id} answers, up to 2.74."""

    addresses: dict[str, list[Address]]


class RebuildAnswer(ServerAnswer):
    """What POST /servers/{id}/action answers to a rebuild, up to 2.74."""

    admin_pass: Annotated[str, Field(alias="adminPass")]
    key_name: Annotated[str | None, since("2.54")]
    user_data: Annotated[str | None, since("2.57")]


class ServerListed(ServerBase):
    """One server of GET /servers/detail."""

    addresses: dict[str, list[PortAddress]]
    key_name: str | None
    config_drive: str
    availability_zone: Annotated[str, Field(alias="OS-EXT-AZ:availability_zone")]
    security_groups: list[dict[str, str]] | None = None
    volumes_attached: Annotated[list[dict[str, Any]], Field(alias="os-extended-volumes:volumes_attached")]
    vm_state: Annotated[str, Field(alias="OS-EXT-STS:vm_state")]
    task_state: Annotated[str | None, Field(alias="OS-EXT-STS:task_state")]
    power_state: Annotated[int, Field(alias="OS-EXT-STS:power_state")]
    launched_at: Annotated[str | None, Field(alias="OS-SRV-USG:launched_at")]
    terminated_at: Annotated[str | None, Field(alias="OS-SRV-USG:terminated_at")]
    host_status: Annotated[str | None, since("2.16")] = None
    hostname: Annotated[str, Field(alias="OS-EXT-SRV-ATTR:hostname"), since("2.90")]
    pinned_availability_zone: Annotated[str | None, since("2.96")]
    scheduler_hints: Annotated[dict[str, list[str]], since("2.100")]
    # From here on: only for those whom os-extended-server-attributes lets see them.
    host: Annotated[str | None, Field(alias="OS-EXT-SRV-ATTR:host")] = None
    hypervisor: Annotated[str | None, Field(alias="OS-EXT-SRV-ATTR:hypervisor_hostname")] = None
    instance_name: Annotated[str | None, Field(alias="OS-EXT-SRV-ATTR:instance_name")] = None
    privileged_hostname: Annotated[
        str | None, Field(alias="OS-EXT-SRV-ATTR:hostname"), since("2.3", "2.89")
    ] = None
    reservation_id: Annotated[str | None, Field(alias="OS-EXT-SRV-ATTR:reservation_id"), since("2.3")] = None
    launch_index: Annotated[int | None, Field(alias="OS-EXT-SRV-ATTR:launch_index"), since("2.3")] = None
    kernel_id: Annotated[str | None, Field(alias="OS-EXT-SRV-ATTR:kernel_id"), since("2.3")] = None
    ramdisk_id: Annotated[str | None, Field(alias="OS-EXT-SRV-ATTR:ramdisk_id"), since("2.3")] = None
    root_device: Annotated[str | None, Field(alias="OS-EXT-SRV-ATTR:root_device_name"), since("2.3")] = None
    user_data: Annotated[str | None, Field(alias="OS-EXT-SRV-ATTR:user_data"), since("2.3")] = None


class ServerDetail(ServerListed, Grouped):
    """What GET /servers/{id} answers, and PUT /servers/{id} since 2.75."""


class RebuildDetail(ServerDetail):
    """What POST /servers/{id}/action answers to a rebuild since 2.75. Its user_data is not among the host's
    attributes.
    """

    admin_pass: Annotated[str, Field(alias="adminPass")]
    own_user_data: Annotated[str | None, Field(alias="user_data")]


class CreateAnswer(View):
    """What POST /servers answers."""

    id: str
    links: list[dict[str, str]]
    admin_pass: Annotated[str, Field(alias="adminPass")]
    disk_config: Annotated[str, Field(alias="OS-DCF:diskConfig")]
    security_groups: list[dict[str, str]]


def entry(server: Server, sight: Sight) -> ServerEntry:
    return ServerEntry(id=server.id, name=server.name, links=sight.links.of("servers", server.id))


def created(
    server: Server, sight: Sight, admin_pass: str, security_groups: list[dict[str, str]]
) -> CreateAnswer:
    """`security_groups` are those of the request: Nova answers them as they were sent."""
    return CreateAnswer(
        id=server.id,
        links=sight.links.of("servers", server.id),
        admin_pass=admin_pass,
        disk_config=server.disk_config,
        security_groups=security_groups,
    )


def updated(server: Server, sight: Sight) -> ServerAnswer:
    """What PUT answers up to 2.74; from 2.75 on it is `shown`.

    The server's ports and their networks have to be loaded, here and in those below.
    """
    return ServerAnswer(
        **_common(server, sight), addresses=_shown_addresses(server), server_groups=_groups(server)
    )


def rebuilt(server: Server, sight: Sight, admin_pass: str) -> RebuildAnswer:
    """What a rebuild answers up to 2.74. Its progress is 0, as the seed page's example has it; show tells the
    real one.
    """
    return RebuildAnswer(
        **{**_common(server, sight), "progress": 0},
        addresses=_shown_addresses(server),
        admin_pass=admin_pass,
        key_name=server.key_name,
        user_data=server.user_data,
        server_groups=_groups(server),
    )


def rebuilt_in_detail(server: Server, sight: Sight, admin_pass: str) -> RebuildDetail:
    facts = _detailed(server, sight) | {
        "progress": 0,
        "admin_pass": admin_pass,
        "own_user_data": server.user_data,
        "server_groups": _groups(server),
    }
    facts.pop("user_data", None)
    return RebuildDetail(**facts)


def detail(server: Server, sight: Sight) -> ServerListed:
    """A server of a list."""
    return ServerListed(**_detailed(server, sight))


def shown(server: Server, sight: Sight) -> ServerDetail:
    """One server."""
    return ServerDetail(**_detailed(server, sight), server_groups=_groups(server))


def _groups(server: Server) -> list[str]:
    """The one group that a server may be in."""
    return [] if server.server_group_id is None else [server.server_group_id]


def _detailed(server: Server, sight: Sight) -> dict[str, Any]:
    optional: dict[str, Any] = {}
    if server.ports:
        optional["security_groups"] = DEFAULT_GROUP
    if server.host in sight.host_status:
        optional["host_status"] = sight.host_status[server.host]
    if sight.host_attributes:
        optional |= _host_attributes(server)
    return {
        **_common(server, sight),
        "addresses": _shown_addresses(server, ports=True),
        "key_name": server.key_name,
        "config_drive": "True" if server.config_drive else "",
        "availability_zone": server.availability_zone,
        "volumes_attached": [],
        "vm_state": server.vm_state,
        "task_state": server.task_state,
        "power_state": server.power_state,
        "launched_at": to_the_microsecond(server.launched_at),
        "terminated_at": to_the_microsecond(server.terminated_at),
        "hostname": server.hostname,
        "pinned_availability_zone": server.pinned_availability_zone,
        "scheduler_hints": server.scheduler_hints,
        **optional,
    }


def _common(server: Server, sight: Sight) -> dict[str, Any]:
    status = status_of(server.vm_state, server.task_state)
    flavor = server.flavor
    optional: dict[str, Any] = {}
    if status in _WITH_PROGRESS:
        optional["progress"] = server.progress
    if server.fault:
        optional["fault"] = fault_of(server.fault, details=sight.fault_details)
    return {
        "id": server.id,
        "name": server.name,
        "links": sight.links.of("servers", server.id),
        "status": status,
        "tenant_id": server.project_id,
        "user_id": server.user_id,
        "metadata": metadata.shown(server),
        "host_id": host_id(server.project_id, server.host),
        "image": ImageReference(
            **reference(sight.links, "images", server.image_id),
            properties=image_properties.shown(server.image_properties),
        ),
        "flavor_reference": Reference(**reference(sight.links, "flavors", flavor["id"])),
        "embedded_flavor": EmbeddedFlavor(
            original_name=flavor["name"],
            **{size: flavor[size] for size in ("vcpus", "ram", "disk", "ephemeral", "swap")},
            **({"extra_specs": flavor["extra_specs"]} if sight.extra_specs else {}),
        ),
        "created": to_the_second(server.created_at),
        "updated": to_the_second(server.updated_at),
        "access_ip_v4": server.access_ip_v4 or "",
        "access_ip_v6": server.access_ip_v6 or "",
        "disk_config": server.disk_config,
        "locked": server.locked_by is not None,
        "description": server.description,
        "tags": server.tags,
        "trusted_image_certificates": server.trusted_image_certificates,
        "locked_reason": server.locked_reason,
        **optional,
    }


def _shown_addresses(server: Server, *, ports: bool = False) -> dict[str, list[Address]]:
    """Nova hides the addresses of a server that is still building."""
    return {} if server.vm_state == VmState.BUILDING else addresses(server, ports=ports)


def _host_attributes(server: Server) -> dict[str, Any]:
    return {
        "host": server.host,
        "hypervisor": server.host,
        "instance_name": f"instance-{server.id[:8]}",
        "privileged_hostname": server.hostname,
        "reservation_id": server.reservation_id,
        "launch_index": server.launch_index,
        "kernel_id": "",
        "ramdisk_id": "",
        "root_device": "/dev/vda",
        "user_data": server.user_data,
    }
