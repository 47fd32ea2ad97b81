"""Rebuild: a new OS on the same server, as transactions. The steps between them are the agent's.

The request takes the requested values into the server's row at once (Nova's contract: name filters must find
them) and keeps the earlier ones in the row of the generation that runs. The one commit that can't be taken
back by forgetting it is `swap`, and `unswap` undoes even that.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import procrastinate
from sqlalchemy import bindparam, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from renova.compute import actions, generations, transitions
from renova.compute.caller import Caller
from renova.compute.hostnames import hostname_after
from renova.compute.states import REBUILD, PowerState, TaskState, VmState
from renova.db.statements import Statement
from renova.db.tables import Action, KeyPair, Server
from renova.errors import Conflict, RenovaError
from renova.image import Image


class PrepaidServer(Conflict):
    """A server in yearly/monthly payments can't be rebuilt."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What was asked for besides the image, checked. None leaves a value as it is, except where a `…_sent`
    flag says that null was sent.

    `preserve_ephemeral` and `admin_pass` count only under profile nova.
    """

    name: str | None = None
    metadata: dict[str, str] | None = None
    key: KeyPair | None = None
    key_sent: bool = False
    user_data: str | None = None
    user_data_sent: bool = False
    description: str | None = None
    description_sent: bool = False
    disk_config: str | None = None
    access_ip_v4: str | None = None
    access_ip_v6: str | None = None
    hostname: str | None = None
    trusted_image_certificates: list[str] | None = None
    trusted_image_certificates_sent: bool = False
    personality: list[dict[str, str]] | None = None
    preserve_ephemeral: bool = False
    admin_pass: str | None = field(default=None, repr=False)

    def keeps_ephemeral(self, profile: str) -> bool:
        """Whether the ephemeral disk outlives the system. Without it, profile nova makes a new one."""
        return profile == "noa" or self.preserve_ephemeral

    def changes(self, server: Server) -> dict[str, Any]:
        """Columns of the server that the rebuild sets: as asked for, and the host name that follows a new
        name.
        """
        # Files of an earlier request are not written into a new OS.
        changes: dict[str, Any] = {"personality": self.personality or []}
        optional = {
            "name": self.name,
            "meta": self.metadata,
            "disk_config": self.disk_config,
            "access_ip_v4": self.access_ip_v4,
            "access_ip_v6": self.access_ip_v6,
            "hostname": self.hostname,
        }
        if self.name is not None and self.hostname is None:
            optional["hostname"] = hostname_after(server, self.name)
        changes |= {column: value for column, value in optional.items() if value is not None}
        if self.key_sent:
            changes["key_name"] = self.key.name if self.key else None
            changes["key_text"] = self.key.public_key if self.key else None
        if self.user_data_sent:
            changes["user_data"] = self.user_data
        if self.description_sent:
            changes["description"] = self.description
        if self.trusted_image_certificates_sent:
            changes["trusted_image_certificates"] = self.trusted_image_certificates
        return changes


@dataclass(frozen=True, kw_only=True)
class Rebuild(Wishes):
    """A rebuild to `image`."""

    image: Image

    def changes(self, server: Server) -> dict[str, Any]:
        image = {"image_id": self.image.id, "image_properties": self.image.properties}
        return {**super().changes(server), **image}


def reasons_against(caller: Caller, server: Server, profile: str) -> list[RenovaError]:
    """Everything in the server's row that stands against a rebuild now."""
    return [*prepaid(server, profile), *transitions.reasons_against(caller, server, REBUILD[profile])]


def prepaid(server: Server, profile: str) -> list[RenovaError]:
    """The seed page's third constraint; under profile nova there is no such thing."""
    return [PrepaidServer()] if profile == "noa" and server.charging_mode != "0" else []


def check_rebuild(caller: Caller, server: Server, profile: str) -> None:
    """Raise what `begin_rebuild` would, by the row as it was read: a client that polls a busy server is told
    so (409) before anything is said of its image, as in Nova.
    """
    for reason in reasons_against(caller, server, profile):
        raise reason


async def begin_rebuild(
    session: AsyncSession,
    jobs: procrastinate.App,
    caller: Caller,
    server: Server,
    rebuild: Rebuild,
    profile: str,
    on_failure: str,
) -> None:
    """The one transaction of the request: compare-and-set, generation n+1 (which pins the base), action, job.

    Raises ServerNotFound, ServerLocked, ServerBusy, PrepaidServer (the seed page); then nothing is changed.
    """
    # `begin` below must see the same row.
    await transitions.lock(session, server)
    check_rebuild(caller, server, profile)
    earlier = generations.system_of(server)
    vm_state = server.vm_state
    await transitions.begin(
        session,
        caller,
        server,
        REBUILD[profile],
        makes_generation=True,
        progress=1,
        **earlier | rebuild.changes(server),
    )
    await generations.write(session, server.id, server.generation, earlier)
    new = server.generations_made
    made_anew = new if server.flavor["ephemeral"] else None
    await generations.add_generation(
        session,
        server.id,
        new,
        rebuild.image,
        generations.system_of(server),
        ephemeral_of=server.generation if rebuild.keeps_ephemeral(profile) else made_anew,
        admin_pass=rebuild.admin_pass if profile == "nova" else None,
    )
    detail = detail_of(server.generation, new, vm_state, on_failure)
    await actions.open_action(session, jobs, caller, server, "rebuild", detail)


def detail_of(
    old: int, new: int, vm_state: str, on_failure: str, *, runs: bool | None = None
) -> dict[str, Any]:
    """What the steps from one generation to another need: `vm_state` is the server's before, `runs` whether
    its system is to run after it (None: unless the server was off), `on_failure` what `[rebuild]` says.
    """
    runs = vm_state != VmState.STOPPED if runs is None else runs
    return {"from": old, "to": new, "vm_state": vm_state, "runs": runs, "on_failure": on_failure}


_servers = Server.__table__
_SWAP = Statement(
    update(_servers)
    .where(
        _servers.c.id == bindparam("this"),
        or_(
            _servers.c.task_state == TaskState.REBUILDING,
            _servers.c.task_state == TaskState.REBUILD_SPAWNING,
        ),
    )
    .values(generation=bindparam("to"), task_state=TaskState.REBUILD_SPAWNING)
    .returning(_servers.c.id)
)


async def swap(session: AsyncSession, action: Action) -> bool:
    """The point of no return: what runs from here on is generation n+1. Done again, it changes nothing.

    False when the server is being deleted meanwhile.
    """
    return await _SWAP.row(session, {"this": action.server_id, "to": action.detail["to"]}) is not None


async def unswap(session: AsyncSession, action: Action) -> None:
    """What runs from here on is generation n again."""
    await session.execute(
        update(Server)
        .where(Server.id == action.server_id, Server.generation == action.detail["to"])
        .values(generation=action.detail["from"])
    )


_ended = transitions.ending(
    vm_state=bindparam("its_vm_state"),
    power_state=bindparam("its_power_state"),
    progress=100,
    launched_at=func.now(),
).cte("ended")
_COMMIT = Statement(
    select(_ended.c.id).add_cte(generations.SUPERSEDING.where(exists().select_from(_ended)).cte("superseded"))
)


async def commit_rebuild(session: AsyncSession, action: Action, tasks: Collection[TaskState]) -> bool:
    """The new OS is the server's, and the old one is kept for a while. False when the server is being deleted
    meanwhile.
    """
    runs = action.detail["runs"]
    values = {
        "server": action.server_id,
        "tasks": list(tasks),
        "its_vm_state": VmState.ACTIVE if runs else VmState.STOPPED,
        "its_power_state": PowerState.RUNNING if runs else PowerState.SHUTDOWN,
        "old": action.detail["from"],
        "new": action.detail["to"],
    }
    return await _COMMIT.row(session, values) is not None


async def fail_rebuild(
    session: AsyncSession, action: Action, tasks: Collection[TaskState], message: str
) -> bool:
    """The old OS is the server's again, with its name, image, key and metadata; `fault` says that it is a
    restore, and `[rebuild] on_failure` whether the status does too.
    """
    await _put_back(session, action)
    return await transitions.end(
        session,
        action.server_id,
        tasks,
        vm_state=VmState.ERROR if action.detail["on_failure"] == "error" else action.detail["vm_state"],
        power_state=PowerState.RUNNING if action.detail["runs"] else PowerState.SHUTDOWN,
        progress=100,
        fault=actions.fault_of(message),
    )


async def stuck_rebuild(
    session: AsyncSession, action: Action, tasks: Collection[TaskState], message: str
) -> bool:
    """An undo failed: ERROR, from where a hard reboot starts whichever OS is the server's now, and
    undoRebuild goes back to the old one.
    """
    await _put_back(session, action)
    return await transitions.end(
        session, action.server_id, tasks, vm_state=VmState.ERROR, fault=actions.fault_of(message)
    )


async def _put_back(session: AsyncSession, action: Action) -> None:
    """The old OS's values, if it is the server's (again); else the old OS is what is kept."""
    old_number, new_number = action.detail["from"], action.detail["to"]
    await generations.forget_admin_pass(session, action.server_id)
    server = await session.get(Server, action.server_id, populate_existing=True, with_for_update=True)
    if server is None or old_number == new_number:
        return
    if server.generation != old_number:
        await generations.supersede(session, server.id, old_number, new_number)
        return
    old = await generations.get_generation(session, server.id, old_number)
    new = await generations.get_generation(session, server.id, new_number)
    generations.put_back(server, new, old)
    await session.flush()
