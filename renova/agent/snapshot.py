"""The steps of createImage: the root disk becomes one flat file, and that the data of an image."""

import asyncio
import logging
from functools import partial
from pathlib import Path

from renova.agent import disks, generation_files
from renova.agent.files import PART, in_thread, part_of, settle
from renova.agent.work import Interrupted, StepFailed, Work
from renova.clients.glance import Image
from renova.compute import snapshots
from renova.compute.states import TaskState
from renova.db.tables import Generation
from renova.errors import RenovaError

log = logging.getLogger(__name__)
TASKS = frozenset({TaskState.IMAGE_SNAPSHOT, TaskState.IMAGE_UPLOADING})
# Seconds until Glance has to have noticed that an upload broke off, and those between two looks.
BROKEN_OFF, LOOK_AGAIN = 60, 0.5


async def copy_disk(work: Work) -> None:
    """The copy is whole on disk: made by QEMU where the server runs, else straight from its files."""
    path = _path(work)
    if path.exists():
        return
    generation = work.generations[await work.current_generation()]
    root = disks.root_path(generation_files.server_directory(work), generation.number)
    size = await in_thread(disks.bytes_of, root)
    if generation.disk_format == "qcow2":
        size += generation.size  # What a raw image holds may be nothing but zeros, which are not copied.
    await work.tools.space.ensure(size)
    await work.tools.space.with_room(size, partial(_copy, work, generation, root, path))


async def _copy(work: Work, generation: Generation, root: Path, path: Path) -> None:
    machine = work.tools.hypervisor.get(work.action.server_id)
    with part_of(path, "the copy of the root disk") as part:
        # What an agent that was killed left there may still be written to.
        part.unlink(missing_ok=True)
        if machine is None:
            base = await generation_files.ensure_base(work, generation)
            await work.unless_interrupted(disks.flatten(root, part, base))
        else:
            await disks.make_flat(part, generation.virtual_size or 0)
            await work.unless_interrupted(machine.copy_root(part))
        await in_thread(settle, part, path)


async def upload(work: Work) -> None:
    """The image has its data, and exactly as much as the copy."""
    async with work.tools.single() as session:
        if not await snapshots.note_upload(session, work.action, TASKS):
            raise Interrupted
    path, glance = _path(work), work.tools.glance
    image = await _settled_image(work)
    if image.status == "queued":
        await work.unless_interrupted(glance.upload(image.id, path))
        image = await glance.look(image.id)
    if image.status != "active" or image.size != path.stat().st_size:
        raise StepFailed(f"the image is {image.status} and has {image.size} bytes")


async def _settled_image(work: Work) -> Image:
    """The image, once Glance has noticed that an agent which was killed does not go on sending."""
    image_id = work.action.detail["image_id"]
    for _ in range(int(BROKEN_OFF / LOOK_AGAIN)):
        image = await work.tools.glance.look(image_id)
        if image.status not in {"saving", "uploading"}:
            break
        await work.unless_interrupted(asyncio.sleep(LOOK_AGAIN))
    return image


async def discard_image(work: Work) -> None:
    """There is no image without data."""
    await work.tools.glance.discard(work.action.detail["image_id"])


async def give_up(work: Work) -> None:
    """As far as Glance lets us: nothing is to keep the server from being deleted."""
    try:
        await discard_image(work)
    except RenovaError as error:
        log.warning("action %s: an image without data is left: %s", work.action.id, error)


async def tidy(work: Work) -> None:
    path = _path(work)
    path.unlink(missing_ok=True)
    path.with_name(path.name + PART).unlink(missing_ok=True)


def _path(work: Work) -> Path:
    return disks.snapshot_path(generation_files.server_directory(work), work.action.detail["image_id"])
