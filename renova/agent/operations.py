"""Every operation of an agent, as a table: an action's name, its steps in order, what undoes each, and how
it ends.
"""

from renova.agent import resize as resize_steps
from renova.agent import snapshot, steps
from renova.agent.engine import Operation, Step
from renova.compute import create, power, rebuild, resize, snapshots
from renova.compute.states import TaskState
from renova.db.tables import Action

# From the system that runs to one whose disks are ready: a rebuild's and its undo's.
CHANGE_OVER = (
    Step("stop_guest", steps.stop_old, undo=steps.start_old),
    Step("swap_generation", steps.swap, undo=steps.unswap),
    Step("start_guest", steps.start_new, undo=steps.end_new),
    Step("verify_guest", steps.verify_new),
)

OPERATIONS: dict[str, Operation] = {
    "create": Operation(
        tasks=frozenset({TaskState.SCHEDULING}),
        steps=(
            Step("make_disks", steps.make_disks),
            Step("start_guest", steps.start, undo=steps.ensure_ended),
        ),
        commit=create.commit_create,
        fail=create.fail_create,
        stuck=create.fail_create,
        heavy=True,
    ),
    "rebuild": Operation(
        tasks=frozenset({TaskState.REBUILDING, TaskState.REBUILD_SPAWNING}),
        steps=(
            Step("fetch_image", steps.fetch_image),
            Step("make_disks", steps.make_new_disks),
            *CHANGE_OVER,
        ),
        commit=rebuild.commit_rebuild,
        fail=rebuild.fail_rebuild,
        stuck=rebuild.stuck_rebuild,
        tidy=steps.tidy_generations,
        heavy=True,
    ),
    # A rebuild whose disks are there already. Neither end of it removes any.
    "undoRebuild": Operation(
        tasks=frozenset({TaskState.REBUILDING, TaskState.REBUILD_SPAWNING}),
        steps=(
            Step("check_disks", steps.check_kept_disks),
            *CHANGE_OVER,
        ),
        commit=rebuild.commit_rebuild,
        fail=rebuild.fail_rebuild,
        stuck=rebuild.stuck_rebuild,
        tidy=steps.close_old_disks,
        heavy=True,
    ),
    "resize": Operation(
        tasks=resize_steps.RESIZING,
        steps=(
            Step("check_room", resize_steps.check_room),
            Step("stop_guest", steps.end_old, undo=steps.start_old),
            Step("copy_disks", resize_steps.copy_disks),
            Step("swap_generation", resize_steps.swap, undo=steps.unswap),
            Step("start_guest", steps.start_new, undo=steps.end_new),
            Step("verify_guest", steps.verify_new),
        ),
        commit=resize.commit_resize,
        fail=resize.fail_resize,
        stuck=resize.stuck,
        tidy=resize_steps.tidy_resize,
        heavy=True,
    ),
    "revertResize": Operation(
        tasks=resize_steps.REVERTING,
        steps=(
            Step("stop_guest", steps.stop_old, undo=steps.start_old),
            Step("swap_generation", resize_steps.swap, undo=steps.unswap),
            Step("start_guest", steps.start_new, undo=steps.end_new),
            Step("verify_guest", steps.verify_new),
        ),
        commit=resize.commit_revert,
        fail=resize.fail_revert,
        stuck=resize.stuck,
        tidy=resize_steps.tidy_revert,
        heavy=True,
    ),
    # There is nothing to do but to throw away, and that comes after the commit.
    "confirmResize": Operation(
        tasks=frozenset({TaskState.RESIZE_CONFIRMING}),
        steps=(),
        commit=resize.commit_confirm,
        fail=power.fail_power,
        stuck=power.fail_power,
        tidy=resize_steps.tidy_confirm,
    ),
    "createImage": Operation(
        tasks=snapshot.TASKS,
        steps=(
            Step("copy_disk", snapshot.copy_disk, undo=snapshot.discard_image),
            Step("upload_image", snapshot.upload),
        ),
        commit=snapshots.commit_snapshot,
        fail=snapshots.fail_snapshot,
        stuck=snapshots.fail_snapshot,
        tidy=snapshot.tidy,
        give_up=snapshot.give_up,
        heavy=True,
    ),
    "start": Operation(
        tasks=frozenset({TaskState.POWERING_ON}),
        steps=(Step("start_guest", steps.start),),
        commit=power.commit_running,
        fail=power.fail_start,
        stuck=power.fail_power,
    ),
    "stop": Operation(
        tasks=frozenset({TaskState.POWERING_OFF}),
        steps=(Step("stop_guest", steps.ensure_stopped),),
        commit=power.commit_stopped,
        fail=power.fail_power,
        stuck=power.fail_power,
    ),
    # Both kinds of reboot end with a fresh QEMU, so that a hung one is no obstacle.
    "reboot": Operation(
        tasks=frozenset({TaskState.REBOOTING}),
        steps=(Step("stop_guest", steps.ensure_stopped), Step("start_guest", steps.start)),
        commit=power.commit_running,
        fail=power.fail_power,
        stuck=power.fail_power,
    ),
    "reboot_hard": Operation(
        tasks=frozenset({TaskState.REBOOTING_HARD}),
        steps=(Step("end_guest", steps.ensure_ended), Step("start_guest", steps.start)),
        commit=power.commit_running,
        fail=power.fail_power,
        stuck=power.fail_power,
        interrupts=True,
    ),
    "delete": Operation(
        tasks=frozenset({TaskState.DELETING}),
        steps=(Step("remove_guest", steps.remove_everything),),
        commit=power.commit_deleted,
        fail=power.fail_power,
        stuck=power.fail_power,
        interrupts=True,
    ),
}


def operation_of(action: Action) -> Operation:
    """A reboot is one action to its owner and two operations: only the hard one interrupts."""
    hard = action.action == "reboot" and action.detail["hard"]
    return OPERATIONS["reboot_hard" if hard else action.action]
