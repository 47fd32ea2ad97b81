"""The states of a server, as data: what a client sees, and what may be begun when.

Source of the status table: Nova's API guide, "Server statuses"; the seed page names eleven of the values.
"""

from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum


class VmState(StrEnum):
    BUILDING = "building"
    ACTIVE = "active"
    STOPPED = "stopped"
    ERROR = "error"
    RESIZED = "resized"
    DELETED = "deleted"


class TaskState(StrEnum):
    SCHEDULING = "scheduling"
    REBUILDING = "rebuilding"
    REBUILD_SPAWNING = "rebuild_spawning"
    POWERING_OFF = "powering-off"
    POWERING_ON = "powering-on"
    REBOOTING = "rebooting"
    REBOOTING_HARD = "rebooting_hard"
    IMAGE_SNAPSHOT = "image_snapshot"
    IMAGE_UPLOADING = "image_uploading"
    RESIZE_PREP = "resize_prep"
    RESIZE_FINISH = "resize_finish"
    RESIZE_CONFIRMING = "resize_confirming"
    RESIZE_REVERTING = "resize_reverting"
    DELETING = "deleting"


class PowerState(IntEnum):
    """Nova's OS-EXT-STS:power_state."""

    NOSTATE = 0
    RUNNING = 1
    PAUSED = 3
    SHUTDOWN = 4
    CRASHED = 6


# A guest that stands still is on, too.
ON = (PowerState.RUNNING, PowerState.PAUSED)

_REBUILD = {TaskState.REBUILDING: "REBUILD", TaskState.REBUILD_SPAWNING: "REBUILD"}
_RESIZE = {TaskState.RESIZE_PREP: "RESIZE", TaskState.RESIZE_FINISH: "RESIZE"}

# vm_state -> (status without a task that matters, status by task_state).
STATUS: dict[VmState, tuple[str, dict[TaskState, str]]] = {
    VmState.ACTIVE: (
        "ACTIVE",
        {TaskState.REBOOTING: "REBOOT", TaskState.REBOOTING_HARD: "HARD_REBOOT", **_REBUILD, **_RESIZE},
    ),
    VmState.BUILDING: ("BUILD", {}),
    VmState.STOPPED: ("SHUTOFF", {**_REBUILD, **_RESIZE}),
    VmState.ERROR: ("ERROR", {**_REBUILD}),
    VmState.RESIZED: ("VERIFY_RESIZE", {TaskState.RESIZE_REVERTING: "REVERT_RESIZE"}),
    VmState.DELETED: ("DELETED", {}),
}


def status_of(vm_state: str, task_state: str | None) -> str:
    """The `status` that a client sees; UNKNOWN only for what no row of the table names."""
    if vm_state not in set(VmState):
        return "UNKNOWN"
    default, by_task = STATUS[VmState(vm_state)]
    return by_task.get(TaskState(task_state), default) if task_state in set(TaskState) else default


def states_of(status: str) -> list[tuple[VmState, list[TaskState] | None, list[TaskState]]]:
    """What to look for in the database for a status filter: (vm_state, wanted tasks or None, tasks to
    leave out) each.

    An empty list means that nothing has that status.
    """
    wanted = status.upper()
    found: list[tuple[VmState, list[TaskState] | None, list[TaskState]]] = []
    for vm_state, (default, by_task) in STATUS.items():
        tasks = [task for task, name in by_task.items() if name == wanted]
        if tasks:
            found.append((vm_state, tasks, []))
        if default == wanted:
            found.append((vm_state, None, list(by_task)))
    return found


Paths = dict[VmState, frozenset[VmState]]


@dataclass(frozen=True)
class Transition:
    """An action that may begin: from which vm_states and where it leads, when all goes well, from each; the
    task_state that shows that it has begun, and the tasks of other actions that it may interrupt.

    `nova_name` is what Nova calls it in its refusals. `must_have_run` keeps it from a server that could not
    be built: that one has nothing to act on. A lock does not keep anybody from what changes nothing of the
    server (`heeds_lock`).
    """

    nova_name: str
    paths: Paths = field(hash=False)
    task_state: TaskState
    interrupts: frozenset[TaskState] = frozenset()
    must_have_run: bool = True
    heeds_lock: bool = True

    @property
    def sources(self) -> frozenset[VmState]:
        return frozenset(self.paths)


def _to(target: VmState, *sources: VmState) -> Paths:
    return {source: frozenset({target}) for source in sources}


# What leaves a server as it was.
_STAYS = {**_to(VmState.ACTIVE, VmState.ACTIVE), **_to(VmState.STOPPED, VmState.STOPPED)}

TRANSITIONS = {
    "start": Transition("start", _to(VmState.ACTIVE, VmState.STOPPED), TaskState.POWERING_ON),
    "stop": Transition("stop", _to(VmState.STOPPED, VmState.ACTIVE, VmState.ERROR), TaskState.POWERING_OFF),
    "reboot": Transition("reboot", _to(VmState.ACTIVE, VmState.ACTIVE), TaskState.REBOOTING),
    "reboot_hard": Transition(
        "reboot",
        _to(VmState.ACTIVE, VmState.ACTIVE, VmState.STOPPED, VmState.ERROR),
        TaskState.REBOOTING_HARD,
        interrupts=frozenset({TaskState.REBOOTING}),
    ),
    "rebuild": Transition("rebuild", _STAYS, TaskState.REBUILDING),
    # Renova's own: back to the system before. From ERROR too, where a failure may have left the server.
    "undoRebuild": Transition(
        "undoRebuild",
        {**_STAYS, VmState.ERROR: frozenset({VmState.ACTIVE, VmState.STOPPED})},
        TaskState.REBUILDING,
    ),
    "createImage": Transition("createImage", _STAYS, TaskState.IMAGE_SNAPSHOT, heeds_lock=False),
    "resize": Transition(
        "resize", _to(VmState.RESIZED, VmState.ACTIVE, VmState.STOPPED), TaskState.RESIZE_PREP
    ),
    # A guest that has ended meanwhile leaves its server off.
    "confirmResize": Transition(
        "confirmResize",
        {VmState.RESIZED: frozenset({VmState.ACTIVE, VmState.STOPPED})},
        TaskState.RESIZE_CONFIRMING,
    ),
    # The server is what it was before the resize.
    "revertResize": Transition(
        "revertResize",
        {VmState.RESIZED: frozenset({VmState.ACTIVE, VmState.STOPPED})},
        TaskState.RESIZE_REVERTING,
    ),
    # Deleting interrupts whatever is under way, as in Nova.
    "delete": Transition(
        "delete",
        _to(VmState.DELETED, *(frozenset(VmState) - {VmState.DELETED})),
        TaskState.DELETING,
        interrupts=frozenset(TaskState),
        must_have_run=False,
    ),
}

# A rebuild under each `[compute] profile`: Nova rebuilds from ERROR; the seed page says that it can't be.
_REBUILD_PATHS = TRANSITIONS["rebuild"].paths | _to(VmState.ACTIVE, VmState.ERROR)
REBUILD = {
    "noa": TRANSITIONS["rebuild"],
    "nova": replace(TRANSITIONS["rebuild"], paths=_REBUILD_PATHS),
}
