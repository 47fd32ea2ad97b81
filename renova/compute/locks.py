"""Locks: a locked server takes nothing from those who are no admins, until whoever locked it unlocks it.

Source: Nova's API reference, "Lock Server (lock Action)" and "Unlock Server (unlock Action)".
"""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from renova.compute import actions, transitions
from renova.compute.caller import Caller
from renova.db.tables import Server

OWNER, ADMIN = "owner", "admin"


def _kind(caller: Caller, server: Server) -> str:
    """Whoever is of the server's project counts as its owner, an admin too."""
    return OWNER if server.project_id == caller.project_id else ADMIN


def is_anothers(caller: Caller, server: Server) -> bool:
    """Whether the server is locked, and not by the likes of the caller."""
    return server.locked_by not in {None, _kind(caller, server)}


async def lock(session: AsyncSession, caller: Caller, server: Server, reason: str | None) -> None:
    """An owner's lock changes nothing where there is one; an admin's takes its place, and without a reason of
    its own keeps the one that was given.
    """
    await transitions.lock(session, server)
    kind = _kind(caller, server)
    if server.locked_by is not None and kind == OWNER:
        return
    await _set(session, caller, server, kind, reason or server.locked_reason)


async def unlock(session: AsyncSession, caller: Caller, server: Server) -> None:
    """For a server whose row is kept (`transitions.lock`) since the caller was found to be allowed to."""
    await _set(session, caller, server, None, None)


async def _set(
    session: AsyncSession, caller: Caller, server: Server, locked_by: str | None, reason: str | None
) -> None:
    server.locked_by, server.locked_reason = locked_by, reason
    server.updated_at = datetime.now(UTC)
    await actions.record(session, caller, server, "lock" if locked_by else "unlock")
