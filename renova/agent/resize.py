"""The steps of a resize that a rebuild does not have; the others are shared with it (`steps`)."""

from functools import partial
from pathlib import Path

from renova.agent import disks, host_keys, steps
from renova.agent.files import in_thread
from renova.agent.work import Interrupted, Work
from renova.compute import resize
from renova.compute.generations import forget
from renova.compute.states import TaskState

# The task_states of a resize and of its reversal, as `operations` has them.
RESIZING = frozenset({TaskState.RESIZE_PREP, TaskState.RESIZE_FINISH})
REVERTING = frozenset({TaskState.RESIZE_REVERTING})


async def check_room(work: Work) -> None:
    """The copy fits on the host's disk. Asked before the guest is stopped."""
    new = await work.generation(work.action.detail["to"])
    await steps.ensure_room(work, new, await in_thread(disks.bytes_of, _source(work)))


async def copy_disks(work: Work) -> None:
    """The new generation's disk: a copy of the old one, grown to the flavor. Its guest must not write
    meanwhile.
    """
    await steps.end_old(work)
    source = _source(work)
    directory, old, new = source.parent, work.action.detail["from"], work.action.detail["to"]
    await in_thread(host_keys.carry, directory, old, new)
    size = await in_thread(disks.bytes_of, source)
    await steps.ensure_disks(work, new, partial(disks.copy_overlay, source), size)


def _source(work: Work) -> Path:
    return disks.root_path(steps.server_directory(work), work.action.detail["from"])


async def swap(work: Work) -> None:
    async with work.tools.sessions.begin() as session:
        if not await resize.swap(session, work.action, RESIZING | REVERTING):
            raise Interrupted
    await work.progress(steps.SWAPPED)


async def tidy_resize(work: Work) -> None:
    """After a failure: the generation that was being made, unless an undo failed so early that it is the
    server's.
    """
    new = work.action.detail["to"]
    if work.action.failed_step and new != await steps.current_generation(work):
        await _drop(work, new)


async def tidy_revert(work: Work) -> None:
    """After a success: the generation of the new flavor."""
    if not work.action.failed_step:
        await _drop(work, work.action.detail["from"])


async def tidy_confirm(work: Work) -> None:
    """The generation of the flavor before."""
    await _drop(work, work.action.detail["from"])


async def _drop(work: Work, number: int) -> None:
    await in_thread(disks.remove, steps.server_directory(work), number)
    async with work.tools.sessions.begin() as session:
        await forget(session, work.action.server_id, [number])
