"""What a generation consists of on this host: its base image, its disks, its config drive.

Each function makes something so, and looks at the world first.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from renova.agent import config_drive, data_disks, disks
from renova.agent.data_disks import DataDisks, MakeEphemeral, block_devices
from renova.agent.files import in_thread
from renova.agent.images import CachedBase
from renova.agent.networks.documents import network_data
from renova.agent.networks.face import Networks
from renova.agent.work import FETCHED, PREPARED, StepFailed, Work
from renova.compute import generations
from renova.db.tables import Generation, Server

GIB = 1024**3
# Makes a root disk at this path, over this base, of so many bytes.
MakeRoot = Callable[[Path, CachedBase, int], Awaitable[None]]
# While an image is fetched, progress is written at most this often, in seconds.
SHOW_INTERVAL = 0.2


async def ensure_base(work: Work, generation: Generation) -> CachedBase:
    """The generation's base image, from the cache or fetched into it."""
    image = (generation.image_id, generation.digest, generation.disk_format, generation.size)
    base = work.tools.images.at_hand(*image)
    return base or await _fetch_base(work, generation)


async def _fetch_base(work: Work, generation: Generation) -> CachedBase:
    percent = fetched = 0

    def progress(done: int, total: int) -> None:
        nonlocal percent, fetched
        percent, fetched = 1 + (FETCHED - 1) * done // max(total, 1), done

    async def show() -> None:
        shown = 0
        while True:
            await asyncio.sleep(SHOW_INTERVAL)
            if percent > shown:
                await work.progress(percent)
                shown = percent

    showing = asyncio.create_task(show())
    try:
        ensure = partial(
            work.tools.images.ensure,
            generation.image_id,
            generation.digest,
            generation.disk_format,
            generation.size,
            progress=progress,
        )
        return await work.unless_interrupted(work.tools.space.with_room(generation.size, ensure))
    finally:
        showing.cancel()
        # A database that is away is noticed by the step itself.
        await asyncio.gather(showing, return_exceptions=True)
        if fetched:
            work.note(f"{fetched} bytes were fetched")


async def ensure_room(work: Work, generation: Generation, copied: int = 0) -> None:
    """What a generation still to be made surely takes fits on the host's disk: bytes of the image that are
    not here, the files of empty disks, a config drive, and `copied` bytes of another generation. Raises
    DiskFull.
    """
    if generation.prepared_at is None:
        missing = work.tools.images.missing(generation.digest, generation.disk_format, generation.size)
        flavor = work.server.flavor
        empty = disks.EMPTY_SIZE + data_disks.empty_size(flavor) + config_drive.MAX_SIZE
        await work.tools.space.ensure(missing + empty + copied)


async def ensure_disks(
    work: Work,
    number: int,
    make_root: MakeRoot = disks.make_overlay,
    make_ephemeral: MakeEphemeral = data_disks.make_ephemeral,
    copied: int = 0,
) -> None:
    """Every disk of a generation is whole, and a mark in the database says so.

    `make_root` and `make_ephemeral` copy about `copied` bytes.
    """
    generation = work.generations[number]
    server = work.server
    base = await ensure_base(work, generation)
    directory = server_directory(work)
    root, drive = disks.root_path(directory, number), disks.config_path(directory, number)
    data = DataDisks.of(directory, generation, server.flavor)
    if generation.prepared_at is not None:
        if not (disks.is_whole(root, base) and drive.exists()):
            raise StepFailed("the prepared disk is damaged or gone")
        data.check()
        return
    size = max(server.flavor["disk"] * GIB, base.virtual_size)
    room, flavor = work.tools.space.with_room, server.flavor
    await room(disks.EMPTY_SIZE + copied, partial(make_root, root, base, size))
    await room(data_disks.empty_size(flavor) + copied, partial(data.make, make_ephemeral))
    content = drive_of(server, generation, work.tools.networks)
    content = replace(content, admin_pass=generation.admin_pass)
    await room(config_drive.MAX_SIZE, partial(in_thread, config_drive.build, drive, content))
    async with work.tools.single() as session:
        await generations.mark_prepared(session, generation, size)
    work.reached(PREPARED)


def server_directory(work: Work) -> Path:
    return disks.server_directory(work.tools.conf.state_path, work.action.server_id)


def drive_of(server: Server, generation: Generation, networks: Networks) -> config_drive.ConfigDrive:
    """What the guest of a generation is told about itself."""
    return config_drive.ConfigDrive(
        uuid=server.id,
        hostname=generation.hostname,
        name=generation.name,
        project_id=server.project_id,
        availability_zone=server.availability_zone,
        launch_index=server.launch_index,
        metadata=generation.meta,
        key_name=generation.key_name,
        public_key=generation.key_text,
        user_data=generation.user_data,
        personality=generation.personality,
        network_data=network_data(server.ports, networks.resolver),
        block_devices=block_devices(
            ephemeral=generation.ephemeral_generation is not None, swap=bool(server.flavor["swap"])
        ),
    )
