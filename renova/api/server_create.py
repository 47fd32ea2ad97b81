"""`POST /servers`."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncSession

from renova.api import passwords
from renova.api.boot_images import usable_image
from renova.api.forms import OneOf
from renova.api.microversions import Change
from renova.api.policies import REQUESTED_DESTINATION, SERVERS
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.servers import CreateServer, File
from renova.api.schemas.servers import NewServer as Asked
from renova.api.schemas.types import last_part
from renova.api.views import servers as views
from renova.api.views.servers import Sight
from renova.compute import create as compute
from renova.compute import flavors, hosts, key_pairs, metadata, networks, server_groups
from renova.compute.networks import WantedPort
from renova.compute.quotas import UNLIMITED, Limits
from renova.compute.server_groups import ServerGroupNotFound
from renova.db.tables import Flavor, KeyPair, ServerGroup
from renova.errors import FlavorNotFound, Forbidden, Invalid, KeyPairNotFound

routes = Routes()

OWN_DESCRIPTION = Change("2.19", "a new server is described by its `description`, and not by its name")
# Every server is in Nova's default zone: there are no others to choose from.
_ZONE = "nova"


@routes.on(
    "POST",
    "/servers",
    body=CreateServer,
    status=202,
    answer=OneOf(({"server": views.CreateAnswer}, {"reservation_id": str})),
)
async def create(call: Call) -> Answer:
    body = call.parse(CreateServer)
    asked = body.server
    call.can(SERVERS + "create")
    async with call.transaction() as session:
        rules = await metadata.Rules.of(session, call.parts.conf, call.caller.project_id)
    own, charging_mode = metadata.new_set(rules, call.caller, asked.metadata or {})
    check_files(rules.limits, asked.personality or [])
    password = passwords.generate() if asked.admin_pass is None else asked.admin_pass
    new = await _checked(call, asked, own, body.scheduler_hints)
    if call.parts.conf.compute.profile == "nova":
        new = replace(new, admin_pass=password)
    async with call.transaction() as session:
        servers = await compute.create_servers(
            session, call.parts.jobs, Limits.of(call.parts.conf), call.caller, new
        )
        for server in servers:
            server.charging_mode = charging_mode or metadata.PAY_PER_USE
    if asked.return_reservation_id:
        return Answer({"reservation_id": servers[0].reservation_id})
    groups = [group.model_dump(exclude_unset=True) for group in asked.security_groups or []]
    view = views.created(
        servers[0],
        Sight(call.links),
        password,
        views.DEFAULT_GROUP if asked.security_groups is None else groups,
    )
    return Answer({"server": view}, headers={"Location": view.links[0]["href"]})


async def key_of(call: Call, session: AsyncSession, name: str) -> KeyPair:
    """A key pair of the caller's, whosever the server is. Raises Invalid."""
    try:
        return await key_pairs.find_key_pair(session, call.caller.user_id, name)
    except KeyPairNotFound as error:
        raise Invalid("Invalid key_name provided.") from error


def check_files(limits: Limits, files: list[File]) -> None:
    """The quota on files to put into a guest; a content is measured in base64. Raises Forbidden."""
    if UNLIMITED != limits.injected_files < len(files):
        raise Forbidden("Personality file limit exceeded")
    longest, largest = limits.injected_file_path_bytes, limits.injected_file_content_bytes
    if any(UNLIMITED != longest < len(file.path) for file in files):
        raise Forbidden(f"Personality file path exceeds maximum {longest}")
    if any(UNLIMITED != largest < len(file.contents) for file in files):
        raise Forbidden(f"Personality file content exceeds maximum {largest}")


async def _checked(
    call: Call, asked: Asked, own_metadata: dict[str, str], hints: dict[str, list[str]]
) -> compute.NewServer:
    """What was asked for, once nothing speaks against it. Nothing is written here."""
    minimum = asked.min_count or 1
    maximum = asked.max_count or minimum
    if minimum > maximum:
        raise Invalid("min_count must be <= max_count")
    if asked.trusted_image_certificates:
        call.can(SERVERS + "create:trusted_certs")
    host = _requested_host(call, asked)
    _check_zone(call, asked)
    _refuse_volumes(asked)
    if not asked.image_ref:
        raise Invalid("Missing imageRef attribute")
    _check_security_groups(call, asked)
    if asked.hostname is not None and maximum > 1:
        raise Invalid("Unable to allocate a single hostname to multiple instances")
    async with call.transaction() as session:
        ports = await _ports(call, session, asked)
        if maximum > 1 and any(port.address for port in ports):
            raise Invalid(
                "Failed to launch instances: max_count cannot be greater than 1 if an fixed_ip is specified."
            )
        flavor = await _flavor(call, session, asked)
        key = None if asked.key_name is None else await key_of(call, session, asked.key_name)
        group = await _group(call, session, hints)
        agent = await hosts.agent_of(session, await hosts.choose_host(session, host))
    # Between two transactions: Glance may take its time, and a connection of the pool is not to wait for it.
    image = await usable_image(
        call,
        asked.image_ref,
        ram=flavor.ram,
        disk=flavor.disk,
        architecture=agent.architecture,
        if_missing="Can not find requested image",
    )
    return compute.NewServer(
        name=asked.name,
        image=image,
        flavor=flavor,
        key=key,
        user_data=asked.user_data,
        personality=[file.model_dump() for file in asked.personality or []],
        metadata=own_metadata,
        tags=sorted({*(asked.tags or [])}),
        description=asked.description if call.version in OWN_DESCRIPTION else asked.name,
        disk_config=asked.disk_config or "MANUAL",
        access_ip_v4=asked.access_ip_v4,
        access_ip_v6=asked.access_ip_v6,
        availability_zone=_ZONE,
        pinned_availability_zone=asked.availability_zone,
        hostname=asked.hostname,
        trusted_image_certificates=asked.trusted_image_certificates,
        scheduler_hints=hints,
        group=group,
        host=host,
        ports=ports,
        min_count=minimum,
        max_count=maximum,
    )


def _check_zone(call: Call, asked: Asked) -> None:
    """`zone:host` is how an admin of Nova names a host; the host is not to be chosen here."""
    zone, _, host = (asked.availability_zone or _ZONE).partition(":")
    if host:
        call.can(SERVERS + "create:forced_host")
    if host or zone != _ZONE:
        raise Invalid("The requested availability zone is not available")


async def _group(call: Call, session: AsyncSession, hints: dict[str, list[str]]) -> ServerGroup | None:
    if not hints.get("group"):
        return None
    try:
        return await server_groups.find_group(session, hints["group"][0], call.caller)
    except ServerGroupNotFound as error:
        raise Invalid(error.message) from error


def _requested_host(call: Call, asked: Asked) -> str | None:
    """The host that an admin asks for: here a host and its hypervisor have one name."""
    host, hypervisor = asked.host, asked.hypervisor_hostname
    if host is None and hypervisor is None:
        return None
    call.can(REQUESTED_DESTINATION)
    if ":" in (asked.availability_zone or ""):
        raise Invalid(
            "One mechanism with host and/or hypervisor_hostname and another mechanism with zone:host:node "
            "are mutually exclusive."
        )
    if host is not None and hypervisor not in {None, host}:
        raise hosts.HostNotFound(host)
    return host or hypervisor


def _refuse_volumes(asked: Asked) -> None:
    """There is no volume service. One mapping is let in, which says no more than imageRef does."""
    if asked.block_device_mapping and asked.block_device_mapping_v2:
        raise Invalid("Using different block_device_mapping syntaxes is not allowed in the same request.")
    devices = asked.block_device_mapping_v2 or []
    if asked.block_device_mapping or not all(device.is_the_image(asked.image_ref) for device in devices):
        raise Invalid("Block Device Mapping is Invalid: a server boots from its image, there are no volumes.")


def _check_security_groups(call: Call, asked: Asked) -> None:
    for group in asked.security_groups or []:
        if group.name not in {None, "default"}:
            raise Invalid(f"Security group {group.name} not found for project {call.caller.project_id}.")


async def _ports(call: Call, session: AsyncSession, asked: Asked) -> tuple[WantedPort, ...]:
    """The ports of the new server, in the order of the request; one network may be named several times.

    Raises Invalid for a network or port that does not exist.
    """
    cards = asked.networks
    if cards == "none":
        return ()
    if cards == "auto" or not cards:
        return (WantedPort(),)
    call.can(SERVERS + "create:attach_network")
    for card in cards:
        if card.port is not None:
            raise Invalid(f"Port id {card.port} could not be found.")
        if card.network_id is None:
            raise Invalid("Bad network format: missing 'uuid'")
        await networks.find_network(session, card.network_id)
    return tuple(WantedPort(card.network_id, card.fixed_ip) for card in cards)


async def _flavor(call: Call, session: AsyncSession, asked: Asked) -> Flavor:
    """By id, or by a URL that ends in it."""
    flavor_id = last_part(str(asked.flavor_ref))
    try:
        flavor = await flavors.find_flavor(session, flavor_id, call.caller)
    except FlavorNotFound as error:
        raise Invalid(error.message) from error
    if not flavor.disk and not call.may(SERVERS + "create:zero_disk_flavor"):
        raise Forbidden("Only volume-backed servers are allowed for flavors with zero disk.")
    return flavor
