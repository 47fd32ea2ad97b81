"""Resize: another flavor on the same server, its confirmation and its reversal, as transactions.

A resized server is a generation of its own: a copy of the disk before, as large as the new flavor says. As
in a rebuild, the request takes the flavor into the server's row at once, so that the quota counts it, and
what runs is decided by `servers.generation` alone. The earlier flavor stands in the action's `detail`.
"""

from collections.abc import Collection
from typing import Any

import procrastinate
from sqlalchemy import ColumnElement, case, func, update
from sqlalchemy.ext.asyncio import AsyncSession

from renova.compute import actions, generations, quotas, transitions
from renova.compute.caller import Caller
from renova.compute.create import flavor_of
from renova.compute.quotas import Limits
from renova.compute.states import ON, TRANSITIONS, PowerState, TaskState, VmState
from renova.db.tables import Action, Flavor, Server
from renova.errors import Invalid

GIB = 1024**3


async def check_flavor(session: AsyncSession, server: Server, flavor: Flavor) -> None:
    """Raises Invalid, in Nova's words, where the server can't have this flavor.

    A disk never shrinks: what a guest has written may lie anywhere on it.
    """
    if server.flavor["disk"] and not flavor.disk:
        raise Invalid(
            "Server disk was unable to be resized because: Resize to zero disk flavor is not allowed."
        )
    if flavor.id == server.flavor["id"]:
        raise Invalid("When resizing, instances must change flavor!")
    if flavor.ephemeral < server.flavor["ephemeral"]:
        raise Invalid(
            "Flavor's ephemeral disk is smaller than the server's, and a disk never shrinks. "
            f"Flavor's is {flavor.ephemeral} GiB, the server's is {server.flavor['ephemeral']} GiB."
        )
    generation = await generations.get_generation(session, server.id, server.generation)
    size = generation.virtual_size or 0
    if flavor.disk and flavor.disk * GIB < size:
        raise Invalid(
            "Flavor's disk is smaller than the server's, and a disk never shrinks. "
            f"Flavor disk is {flavor.disk * GIB} bytes, the server's is {size} bytes."
        )


async def begin_resize(
    session: AsyncSession,
    jobs: procrastinate.App,
    caller: Caller,
    server: Server,
    limits: Limits,
    flavor: Flavor,
    disk_config: str | None,
) -> None:
    """The one transaction of the request: compare-and-set, quota, generation n+1, action, job.

    Raises ServerNotFound, ServerLocked, ServerBusy, Invalid, QuotaExceeded; then nothing is changed.
    """
    await transitions.lock(session, server)
    transition = TRANSITIONS["resize"]
    transitions.check(caller, server, transition)
    await check_flavor(session, server, flavor)
    earlier, vm_state = server.flavor, server.vm_state
    later = flavor_of(flavor)
    await _check_quota(session, limits, server, later)
    changes: dict[str, Any] = {} if disk_config is None else {"disk_config": disk_config}
    await transitions.begin(
        session,
        caller,
        server,
        transition,
        flavor=later,
        progress=0,
        makes_generation=True,
        **changes,
    )
    await generations.copy_generation(session, server)
    detail = _detail(server.generation, server.generations_made, vm_state, earlier, later)
    await actions.open_action(session, jobs, caller, server, "resize", detail)


async def begin_confirm(
    session: AsyncSession, jobs: procrastinate.App, caller: Caller, server: Server
) -> None:
    """Raises ServerNotFound, ServerLocked, ServerBusy, Invalid."""
    resize = await _resize_of(session, caller, server, "confirmResize")
    await transitions.begin(session, caller, server, TRANSITIONS["confirmResize"])
    await actions.open_action(session, jobs, caller, server, "confirmResize", resize.detail)


async def begin_revert(
    session: AsyncSession, jobs: procrastinate.App, caller: Caller, server: Server, limits: Limits
) -> None:
    """Raises ServerNotFound, ServerLocked, ServerBusy, Invalid, QuotaExceeded (from a smaller flavor back to
    a larger one).
    """
    resize = await _resize_of(session, caller, server, "revertResize")
    old, new = resize.detail["from"], resize.detail["to"]
    flavors = resize.detail["flavors"]
    await _check_quota(session, limits, server, flavors[str(old)])
    await transitions.begin(
        session, caller, server, TRANSITIONS["revertResize"], flavor=flavors[str(old)], progress=0
    )
    detail = resize.detail | {"from": new, "to": old}
    await actions.open_action(session, jobs, caller, server, "revertResize", detail)


def _detail(
    old: int, new: int, vm_state: str, earlier: dict[str, Any], later: dict[str, Any]
) -> dict[str, Any]:
    """`flavors`: what each of the two generations runs with. `vm_state`: the server's before the resize, and
    `runs` whether its system ran then.
    """
    runs = vm_state != VmState.STOPPED
    flavors = {str(old): earlier, str(new): later}
    return {"from": old, "to": new, "vm_state": vm_state, "runs": runs, "flavors": flavors}


async def _resize_of(session: AsyncSession, caller: Caller, server: Server, name: str) -> Action:
    """The resize that waits for its owner's word; the server's row is locked from here on."""
    await transitions.lock(session, server)
    transitions.check(caller, server, TRANSITIONS[name])
    resize = await actions.last_success(session, server.id, "resize")
    if resize is None or resize.detail["to"] != server.generation:
        raise Invalid("Instance has not been resized.")
    return resize


async def _check_quota(session: AsyncSession, limits: Limits, server: Server, flavor: dict[str, Any]) -> None:
    await quotas.check_growth(
        session,
        limits,
        server.project_id,
        cores=flavor["vcpus"] - server.flavor["vcpus"],
        ram=flavor["ram"] - server.flavor["ram"],
    )


async def swap(session: AsyncSession, action: Action, tasks: Collection[TaskState]) -> bool:
    """What runs from here on is the generation that the action leads to. Done again, it changes nothing.

    False when the server is being deleted meanwhile.
    """
    # A resize shows that it is nearly there; a reversal has one task_state.
    task_state: ColumnElement[str] = case(
        (Server.task_state == TaskState.RESIZE_PREP, TaskState.RESIZE_FINISH), else_=Server.task_state
    )
    swapped = await session.scalar(
        update(Server)
        .where(Server.id == action.server_id, Server.task_state.in_(tasks))
        .values(generation=action.detail["to"], task_state=task_state)
        .returning(Server.id)
    )
    return swapped is not None


async def commit_resize(session: AsyncSession, action: Action, tasks: Collection[TaskState]) -> bool:
    """The server has its new flavor, and its owner may confirm or revert that."""
    return await transitions.end(
        session,
        action.server_id,
        tasks,
        vm_state=VmState.RESIZED,
        power_state=_power_state(action),
        progress=100,
        launched_at=func.now(),
    )


async def commit_revert(session: AsyncSession, action: Action, tasks: Collection[TaskState]) -> bool:
    """The server is what it was before the resize."""
    return await transitions.end(
        session,
        action.server_id,
        tasks,
        vm_state=action.detail["vm_state"],
        power_state=_power_state(action),
        progress=100,
        launched_at=func.now(),
    )


async def commit_confirm(session: AsyncSession, action: Action, tasks: Collection[TaskState]) -> bool:
    """The new flavor is the server's. A guest that ended meanwhile leaves it SHUTOFF, as in Nova.

    What the guest has written to its ephemeral disk since the resize is there after an undo too.
    """
    await generations.share_ephemeral(session, action.server_id, action.detail["from"], action.detail["to"])
    runs = Server.power_state.in_(ON)
    return await transitions.end(
        session,
        action.server_id,
        tasks,
        vm_state=case((runs, VmState.ACTIVE), else_=VmState.STOPPED),
    )


async def fail_resize(
    session: AsyncSession, action: Action, tasks: Collection[TaskState], message: str
) -> bool:
    """The server is what it was, and `fault` says why."""
    return await _end_badly(
        session, action, tasks, message, vm_state=action.detail["vm_state"], power_state=_power_state(action)
    )


async def fail_revert(
    session: AsyncSession, action: Action, tasks: Collection[TaskState], message: str
) -> bool:
    """The server still has its new flavor, and may be confirmed or reverted again."""
    return await _end_badly(
        session, action, tasks, message, vm_state=VmState.RESIZED, power_state=_power_state(action)
    )


async def stuck(session: AsyncSession, action: Action, tasks: Collection[TaskState], message: str) -> bool:
    """An undo failed: ERROR, from where a hard reboot starts whichever generation is the server's now."""
    return await _end_badly(session, action, tasks, message, vm_state=VmState.ERROR)


async def _end_badly(
    session: AsyncSession, action: Action, tasks: Collection[TaskState], message: str, **values: Any
) -> bool:
    """Whichever generation is the server's, its flavor is so too."""
    server = await session.get(Server, action.server_id, populate_existing=True, with_for_update=True)
    if server is None:
        return False
    flavor = action.detail["flavors"][str(server.generation)]
    fault = actions.fault_of(message)
    return await transitions.end(session, server.id, tasks, flavor=flavor, fault=fault, **values)


def _power_state(action: Action) -> PowerState:
    return PowerState.RUNNING if action.detail["runs"] else PowerState.SHUTDOWN
