"""A server's metadata: what its owner writes on it, and `charging_mode`, which is not the owner's.

Under profile `noa`, `charging_mode` ("0" pay per use, "1" yearly or monthly) is a column that metadata shows.
Admins set it there, and it stays when the rest is replaced. Under profile `nova` it is a key like any other.
"""

from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from renova.compute.caller import Caller
from renova.compute.quotas import UNLIMITED, Limits
from renova.compute.states import VmState
from renova.db.tables import Server
from renova.errors import Forbidden, Invalid, NotFound, ServerBusy, ServerLocked

CHARGING_MODE = "charging_mode"
PAY_PER_USE = "0"
CHARGING_MODES = frozenset((PAY_PER_USE, "1"))
_CHANGEABLE = frozenset((VmState.ACTIVE, VmState.STOPPED))


class MetadataItemNotFound(NotFound):
    """Metadata item was not found"""


class TooMuchMetadata(Forbidden):
    """More items than `[quota] metadata_items`."""

    def __init__(self, allowed: int) -> None:
        super().__init__(f"Maximum number of metadata items exceeds {allowed}")


def check_quota(limits: Limits, metadata: dict[str, str]) -> None:
    """Raises TooMuchMetadata."""
    if UNLIMITED != limits.metadata_items < len(metadata):
        raise TooMuchMetadata(limits.metadata_items)


def split_charging_mode(
    caller: Caller, profile: str, metadata: dict[str, str]
) -> tuple[dict[str, str], str | None]:
    """The owner's part of what was sent, and the charging mode if it is in there.

    Raises Forbidden when somebody other than an admin sends one, Invalid for one that there is none of.
    """
    if profile != "noa" or CHARGING_MODE not in metadata:
        return metadata, None
    if not caller.is_admin:
        raise Forbidden(f"Metadata item {CHARGING_MODE} is set by the operator of the cloud.")
    mode = metadata[CHARGING_MODE]
    if mode not in CHARGING_MODES:
        raise Invalid(f"{CHARGING_MODE} is one of {', '.join(sorted(CHARGING_MODES))}.")
    return {name: value for name, value in metadata.items() if name != CHARGING_MODE}, mode


def shown(server: Server) -> dict[str, str]:
    """The owner's metadata, and `charging_mode` where it is not the default.

    Shown for every server it would be a key that the owner never set, which Nova's own tests refuse to see.
    """
    charging = {} if server.charging_mode == PAY_PER_USE else {CHARGING_MODE: server.charging_mode}
    return server.meta | charging


async def replace(
    session: AsyncSession,
    limits: Limits,
    caller: Caller,
    profile: str,
    server: Server,
    metadata: dict[str, str],
) -> None:
    """`metadata` becomes the whole set. Raises ServerLocked, ServerBusy, TooMuchMetadata, Forbidden."""
    own, mode = split_charging_mode(caller, profile, metadata)
    await _change(session, limits, caller, server, "update metadata", lambda _: own, mode)


async def merge(
    session: AsyncSession,
    limits: Limits,
    caller: Caller,
    profile: str,
    server: Server,
    metadata: dict[str, str],
) -> None:
    """`metadata` is added to the set. Raises as `replace` does."""
    own, mode = split_charging_mode(caller, profile, metadata)
    await _change(session, limits, caller, server, "update metadata", lambda before: before | own, mode)


async def remove(
    session: AsyncSession, limits: Limits, caller: Caller, profile: str, server: Server, name: str
) -> None:
    """Drop one item. Raises MetadataItemNotFound, ServerLocked, ServerBusy, Forbidden."""
    if name not in shown(server):
        raise MetadataItemNotFound
    _, mode = split_charging_mode(caller, profile, {name: PAY_PER_USE})

    def without(before: dict[str, str]) -> dict[str, str]:
        return {key: value for key, value in before.items() if key != name}

    await _change(session, limits, caller, server, "delete metadata", without, mode)


async def _change(
    session: AsyncSession,
    limits: Limits,
    caller: Caller,
    server: Server,
    action: str,
    change: Callable[[dict[str, str]], dict[str, str]],
    charging_mode: str | None,
) -> None:
    # Two clients that each add an item must not lose one: the row is read again under its lock.
    statement = select(Server).where(Server.id == server.id).with_for_update()
    await session.execute(statement.execution_options(populate_existing=True))
    if server.locked_by is not None and not caller.is_admin:
        raise ServerLocked(server.id)
    if server.vm_state not in _CHANGEABLE:
        raise ServerBusy(server.id, action, "vm_state", server.vm_state)
    if server.task_state is not None:
        raise ServerBusy(server.id, action, "task_state", server.task_state)
    metadata = change(server.meta)
    check_quota(limits, metadata)
    server.meta = metadata
    if charging_mode is not None:
        server.charging_mode = charging_mode
    await session.flush()
