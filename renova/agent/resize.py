"""The steps of a resize that a rebuild does not have; the others are shared with it (`steps`)."""

from functools import partial
from pathlib import Path

from renova.agent import disks, generation_files, host_keys, steps
from renova.agent.data_disks import DataDisks, copy_ephemeral, make_ephemeral
from renova.agent.files import in_thread
from renova.agent.work import SWAPPED, Interrupted, Work
from renova.compute import resize
from renova.compute.states import TaskState

# The task_states of a resize and of its reversal, as `operations` has them.
RESIZING = frozenset({TaskState.RESIZE_PREP, TaskState.RESIZE_FINISH})
REVERTING = frozenset({TaskState.RESIZE_REVERTING})


async def check_room(work: Work) -> None:
    """The copy fits on the host's disk. Asked before the guest is stopped."""
    new = work.generations[work.action.detail["to"]]
    await generation_files.ensure_room(work, new, await _bytes(work))


async def copy_disks(work: Work) -> None:
    """The new generation's disks: copies of the old ones, grown to the flavor, and a swap disk of its own.
    The guest must not write meanwhile.
    """
    await steps.end_old(work)
    size = await _bytes(work)
    directory = generation_files.server_directory(work)
    old, new = work.action.detail["from"], work.action.detail["to"]
    await in_thread(host_keys.carry, directory, old, new)
    make_root = partial(disks.copy_overlay, disks.root_path(directory, old))
    ephemeral = _ephemeral(work)
    make_data = partial(copy_ephemeral, ephemeral) if ephemeral else make_ephemeral
    await generation_files.ensure_disks(work, new, make_root, make_data, size)


async def _bytes(work: Work) -> int:
    """How much there is to copy."""
    root = disks.root_path(generation_files.server_directory(work), work.action.detail["from"])
    copied = [root, _ephemeral(work)]
    return sum([await in_thread(disks.bytes_of, path) for path in copied if path])


def _ephemeral(work: Work) -> Path | None:
    """The ephemeral disk of the generation before."""
    old = work.action.detail["from"]
    flavor = work.action.detail["flavors"][str(old)]
    return DataDisks.of(generation_files.server_directory(work), work.generations[old], flavor).ephemeral


async def swap(work: Work) -> None:
    async with work.tools.single() as session:
        if not await resize.swap(session, work.action, RESIZING | REVERTING):
            raise Interrupted
    work.reached(SWAPPED)


async def tidy_resize(work: Work) -> None:
    """After a failure: the generation that was being made, unless an undo failed so early that it is the
    server's.
    """
    await steps.close_old_disks(work)
    new = work.action.detail["to"]
    if work.action.failed_step and new != await work.current_generation():
        await steps.drop(work, [new])


async def tidy_revert(work: Work) -> None:
    """After a success: the generation of the new flavor."""
    await steps.close_old_disks(work)
    if not work.action.failed_step:
        await steps.drop(work, [work.action.detail["from"]])


async def tidy_confirm(work: Work) -> None:
    """The generation of the flavor before."""
    await steps.drop(work, [work.action.detail["from"]])
