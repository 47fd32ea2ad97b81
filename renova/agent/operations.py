"""Every operation of an agent, as a table: an action's name, its steps in order, what undoes each, and how
it ends.
"""

from renova.agent import steps
from renova.agent.engine import Operation, Step
from renova.compute import create, power, rebuild
from renova.compute.states import TaskState
from renova.db.tables import Action

OPERATIONS: dict[str, Operation] = {
    "create": Operation(
        tasks=frozenset(create.TASKS),
        steps=(
            Step("make_disks", steps.make_disks),
            Step("start_guest", steps.start, undo=steps.ensure_ended),
        ),
        commit=create.commit_create,
        fail=create.fail_create,
        stuck=create.fail_create,
    ),
    "rebuild": Operation(
        tasks=frozenset(rebuild.TASKS),
        steps=(
            Step("fetch_image", steps.fetch_image),
            Step("make_disks", steps.make_new_disks, undo=steps.remove_new_disks),
            Step("stop_guest", steps.stop_old, undo=steps.start_old),
            Step("swap_generation", steps.swap, undo=steps.unswap),
            Step("start_guest", steps.start_new, undo=steps.end_new),
            Step("verify_guest", steps.verify_new),
        ),
        commit=rebuild.commit_rebuild,
        fail=rebuild.fail_rebuild,
        stuck=power.fail_power,
        tidy=steps.tidy_generations,
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
    "reboot": Operation(
        tasks=frozenset({TaskState.REBOOTING, TaskState.REBOOTING_HARD}),
        steps=(Step("reboot_guest", steps.reboot),),
        commit=power.commit_running,
        fail=power.fail_power,
        stuck=power.fail_power,
    ),
    "delete": Operation(
        tasks=frozenset({TaskState.DELETING}),
        steps=(Step("remove_guest", steps.remove_everything),),
        commit=power.commit_deleted,
        fail=power.fail_power,
        stuck=power.fail_power,
    ),
}


def interrupts(action: Action) -> bool:
    """Whether an action takes the server over from one that is under way (the request has already decided
    that it may).
    """
    return action.action == "delete" or (action.action == "reboot" and bool(action.detail["hard"]))
