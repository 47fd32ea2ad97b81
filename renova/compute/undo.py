"""Undo of a rebuild: the generation before runs again, and the one that ran is kept in its place.

An undo is a rebuild whose disks exist already, so the agent's transactions are those of `rebuild`. It asks
neither Glance nor the key pairs: the generation's row has all that they said.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import procrastinate
from oslo_config import cfg
from sqlalchemy.ext.asyncio import AsyncSession

from renova.compute import actions, generations, transitions
from renova.compute.caller import Caller
from renova.compute.rebuild import detail_of, prepaid
from renova.compute.states import TRANSITIONS, VmState
from renova.db.tables import Generation, Server
from renova.errors import Conflict


class NothingToUndo(Conflict):
    def __init__(self, server_id: str, why: str) -> None:
        super().__init__(f"Cannot 'undoRebuild' instance {server_id}: {why}")


@dataclass(frozen=True)
class Rules:
    """What `[compute] profile` and `[rebuild]` say."""

    profile: str
    keep_previous: timedelta
    on_failure: str

    @classmethod
    def of(cls, conf: cfg.ConfigOpts) -> "Rules":
        keep = timedelta(hours=conf.rebuild.keep_previous)
        return cls(conf.compute.profile, keep, conf.rebuild.on_failure)


@dataclass(frozen=True)
class Target:
    """The generation to go back to, which may be the one that is the server's already: after a failed rebuild
    that left the server in ERROR on its old system. `runs`: whether it is to run.
    """

    generation: Generation
    runs: bool


async def begin_undo(
    session: AsyncSession, jobs: procrastinate.App, caller: Caller, server: Server, rules: Rules
) -> None:
    """The one transaction of the request: compare-and-set, the earlier values, action, job.

    As a restore, it puts a value back only where it still is what the rebuild wrote: a later PUT or metadata
    call of the owner wins. Raises ServerNotFound, ServerLocked, ServerBusy, PrepaidServer, NothingToUndo;
    then nothing is changed.
    """
    await transitions.lock(session, server)
    for reason in prepaid(server, rules.profile):
        raise reason
    transitions.check(caller, server, TRANSITIONS["undoRebuild"])
    target = await _target_of(session, server, rules)
    old, new, vm_state = server.generation, target.generation.number, server.vm_state
    earlier = generations.system_of(server)
    if old != new:
        written = await generations.get_generation(session, server.id, old)
        generations.put_back(server, written, target.generation)
        await session.flush()
    later = generations.system_of(server)
    await transitions.begin(session, caller, server, TRANSITIONS["undoRebuild"], progress=1, **later)
    await generations.write(session, server.id, old, earlier)
    await generations.write(session, server.id, new, later)
    detail = detail_of(old, new, vm_state, rules.on_failure, runs=target.runs)
    await actions.open_action(session, jobs, caller, server, "undoRebuild", detail)


async def _target_of(session: AsyncSession, server: Server, rules: Rules) -> Target:
    runs = server.vm_state != VmState.STOPPED
    if server.vm_state == VmState.ERROR:
        # Where the last rebuild or undo failed, that one is taken back, whatever was kept from before it.
        last = await actions.last_of(session, server.id, ("rebuild", "undoRebuild"))
        if last is not None and last.failed_step is not None:
            generation = await generations.find_generation(session, server.id, last.detail["from"])
            if generation is not None and generation.prepared_at is not None:
                return Target(generation, last.detail["runs"])
    previous = await generations.previous_of(session, server)
    if previous is None:
        done = await actions.last_success(session, server.id, "rebuild")
        raise NothingToUndo(
            server.id,
            "it has not been rebuilt."
            if done is None
            else "the system before the rebuild is not kept any more.",
        )
    assert previous.superseded_at is not None
    until = previous.superseded_at + rules.keep_previous
    if until <= datetime.now(UTC):
        raise NothingToUndo(
            server.id, f"the system before the rebuild was kept until {until:%Y-%m-%dT%H:%M:%SZ}."
        )
    return Target(previous, runs)
