"""What a rebuild would do, told without doing any of it: `planRebuild`."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from oslo_config import cfg
from sqlalchemy.ext.asyncio import AsyncSession

from renova.compute import generations
from renova.compute.method import Choice, method_of
from renova.compute.rebuild import Wishes
from renova.compute.states import VmState
from renova.db.tables import CachedImage, Generation, Server
from renova.image import Image, promises_agent

# Values that are changed where the request says so, by their columns.
CHANGEABLE = (
    *("name", "hostname", "description", "meta", "key_name", "user_data", "disk_config"),
    *("access_ip_v4", "access_ip_v6", "trusted_image_certificates"),
)
EPHEMERAL, SWAP = "ephemeral disk", "swap disk"


@dataclass(frozen=True)
class Plan:
    """`changed`: by column, the value before and the one after; `unchanged`: columns.

    `kept_disks` and `lost_disks`: which of "ephemeral disk" and "swap disk" outlive the system, and which are
    made anew. `fetch_bytes` is what the host still has to fetch of the image, None where there is none;
    `freed` the system that is kept now and no longer after it. `method` is as far as the database can tell.
    `stop_seconds` is the most that the guest has to power itself off, `verify_seconds` the most that the new
    one has to prove that it lives.
    """

    image: Image | None
    changed: dict[str, tuple[Any, Any]]
    unchanged: list[str]
    kept_disks: list[str]
    lost_disks: list[str]
    generation: int
    keep_previous: timedelta
    freed: Generation | None
    fetch_bytes: int | None
    running: bool
    method: Choice
    stop_seconds: int
    verified_by: str | None
    verify_seconds: int


async def plan_rebuild(
    session: AsyncSession, conf: cfg.ConfigOpts, server: Server, wishes: Wishes, image: Image | None
) -> Plan:
    """Reads and writes nothing. `image` is None where there is no such image."""
    asked = wishes.changes(server)
    data_disks = await _data_disks(session, server)
    keeps = wishes.keeps_ephemeral(conf.compute.profile)
    kept_disks = [disk for disk in data_disks if disk == EPHEMERAL and keeps]
    lost_disks = [disk for disk in data_disks if disk not in kept_disks]
    changed = {
        column: (getattr(server, column), asked[column])
        for column in CHANGEABLE
        if column in asked and asked[column] != getattr(server, column)
    }
    running = server.vm_state != VmState.STOPPED
    agent = image is not None and promises_agent(image.properties)
    verified_by = "guest agent" if agent else "settling"
    return Plan(
        image=image,
        changed=changed,
        unchanged=[column for column in CHANGEABLE if column not in changed],
        kept_disks=kept_disks,
        lost_disks=lost_disks,
        generation=server.generation,
        keep_previous=timedelta(hours=conf.rebuild.keep_previous),
        freed=await generations.previous_of(session, server),
        fetch_bytes=None if image is None else await _bytes_to_fetch(session, server.host, image),
        running=running,
        method=method_of(
            conf.rebuild.method,
            server.image_properties,
            image.properties if image else {},
            running=running,
            disks_stay=not lost_disks,
        ),
        stop_seconds=conf.compute.shutdown_timeout if running else 0,
        verified_by=verified_by if running else None,
        verify_seconds=(conf.rebuild.agent_timeout if agent else conf.rebuild.settle) if running else 0,
    )


async def _data_disks(session: AsyncSession, server: Server) -> list[str]:
    generation = await generations.get_generation(session, server.id, server.generation)
    there = {EPHEMERAL: generation.ephemeral_generation is not None, SWAP: bool(server.flavor["swap"])}
    return [disk for disk, has in there.items() if has]


async def _bytes_to_fetch(session: AsyncSession, host: str, image: Image) -> int:
    cached = await session.get(CachedImage, (host, image.digest))
    return 0 if cached is not None and cached.size == image.size else image.size
