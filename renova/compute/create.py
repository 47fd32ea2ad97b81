"""A server comes to be: the request's transaction, and the agent's last one."""

import secrets
import string
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import procrastinate
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from renova.compute import actions, generations, networks, quotas, server_groups, transitions
from renova.compute.caller import Caller
from renova.compute.hostnames import hostname_of
from renova.compute.hosts import choose_host
from renova.compute.networks import WantedPort
from renova.compute.quotas import Limits
from renova.compute.states import PowerState, TaskState, VmState
from renova.db.tables import Action, Flavor, KeyPair, Server, ServerGroup
from renova.image import Image


@dataclass(frozen=True)
class NewServer:
    """What was asked for, checked: the image is readable and fits the flavor, the key is the caller's."""

    name: str
    image: Image
    flavor: Flavor
    key: KeyPair | None = None
    user_data: str | None = None
    personality: list[dict[str, str]] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    description: str | None = None
    disk_config: str = "MANUAL"
    access_ip_v4: str | None = None
    access_ip_v6: str | None = None
    availability_zone: str = "nova"
    pinned_availability_zone: str | None = None
    hostname: str | None = None
    trusted_image_certificates: list[str] | None = None
    scheduler_hints: dict[str, Any] = field(default_factory=dict)
    group: ServerGroup | None = None
    # The one host that the server may run on; None lets Renova choose.
    host: str | None = None
    # Under profile nova: what the guest finds on its config drive.
    admin_pass: str | None = field(default=None, repr=False)
    ports: tuple[WantedPort, ...] = (WantedPort(),)
    min_count: int = 1
    max_count: int = 1


async def create_servers(
    session: AsyncSession, jobs: procrastinate.App, limits: Limits, caller: Caller, new: NewServer
) -> list[Server]:
    """Rows, ports, quota, generation 1, action and job of as many servers as the quota allows, up to
    `max_count`.

    Raises QuotaExceeded when not even `min_count` fit, Unavailable without a host, Invalid for an address
    that can't be had, Conflict without a free one or a host that suits the server group, TooManyMembers.
    """
    count = await quotas.check_and_reserve(
        session,
        limits,
        caller,
        minimum=new.min_count,
        maximum=new.max_count,
        cores=new.flavor.vcpus,
        ram=new.flavor.ram,
    )
    reservation = "r-" + "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))
    if new.group is not None:
        await server_groups.join(session, limits, caller, new.group, count)
    servers = []
    for index in range(count):
        # One by one: a group's policy looks at where the servers before are.
        host = await choose_host(session, new.host, new.group)
        servers.append(await _create_one(session, jobs, caller, new, host, reservation, index, count))
    return servers


async def _create_one(
    session: AsyncSession,
    jobs: procrastinate.App,
    caller: Caller,
    new: NewServer,
    host: str,
    reservation: str,
    index: int,
    count: int,
) -> Server:
    server_id = str(uuid4())
    # Several servers of one request are numbered from one, as Nova does.
    name = new.name if count == 1 else f"{new.name}-{index + 1}"
    system: dict[str, Any] = {
        "name": name,
        "hostname": new.hostname or hostname_of(name, server_id),
        "description": new.description,
        "image_id": new.image.id,
        "image_properties": new.image.properties,
        "meta": new.metadata,
        "key_name": new.key.name if new.key else None,
        "key_text": new.key.public_key if new.key else None,
        "user_data": new.user_data,
        "personality": new.personality,
        "disk_config": new.disk_config,
        "access_ip_v4": new.access_ip_v4,
        "access_ip_v6": new.access_ip_v6,
        "trusted_image_certificates": new.trusted_image_certificates,
    }
    server = Server(
        id=server_id,
        project_id=caller.project_id,
        user_id=caller.user_id,
        vm_state=VmState.BUILDING,
        task_state=TaskState.SCHEDULING,
        host=host,
        flavor=flavor_of(new.flavor),
        tags=new.tags,
        config_drive=True,  # A guest has no other source of metadata, so a drive is always there.
        availability_zone=new.availability_zone,
        pinned_availability_zone=new.pinned_availability_zone,
        scheduler_hints=new.scheduler_hints,
        server_group_id=new.group.id if new.group else None,
        reservation_id=reservation,
        launch_index=index,
        **system,
    )
    session.add(server)
    await session.flush()
    made_by = 1 if new.flavor.ephemeral else None
    await generations.add_generation(
        session, server_id, 1, new.image, system, ephemeral_of=made_by, admin_pass=new.admin_pass
    )
    for port in new.ports:
        network = await networks.find_network(session, port.network_id)
        await networks.create_port(session, server, network, port.address)
    await actions.open_action(session, jobs, caller, server, "create")
    await session.refresh(server)
    await session.refresh(server, ["ports"])
    return server


def flavor_of(flavor: Flavor) -> dict[str, Any]:
    """The flavor as a server remembers it: a later change of the flavor does not change the server."""
    return {
        "id": flavor.id,
        "name": flavor.name,
        "vcpus": flavor.vcpus,
        "ram": flavor.ram,
        "disk": flavor.disk,
        "ephemeral": flavor.ephemeral,
        "swap": flavor.swap,
        "extra_specs": flavor.extra_specs,
    }


async def commit_create(session: AsyncSession, action: Action, tasks: Collection[TaskState]) -> bool:
    """The new server runs. False when it is being deleted meanwhile."""
    await generations.forget_admin_pass(session, action.server_id)
    return await transitions.end(
        session,
        action.server_id,
        tasks,
        vm_state=VmState.ACTIVE,
        power_state=PowerState.RUNNING,
        progress=100,
        launched_at=func.now(),
    )


async def fail_create(
    session: AsyncSession, action: Action, tasks: Collection[TaskState], message: str
) -> bool:
    """The server could not be built: it stays, in ERROR, so that its owner sees why."""
    await generations.forget_admin_pass(session, action.server_id)
    return await transitions.end(
        session, action.server_id, tasks, vm_state=VmState.ERROR, fault=actions.fault_of(message)
    )
