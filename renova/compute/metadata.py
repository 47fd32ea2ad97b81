"""A server's metadata: what its owner writes on it, and `charging_mode`, which is not the owner's.

Under profile `noa`, `charging_mode` ("0" pay per use, "1" yearly or monthly) is a column that metadata shows.
Admins set it there, and it stays when the rest is replaced. Under profile `nova` it is a key like any other.
"""

from dataclasses import dataclass
from typing import Self

from oslo_config import cfg
from sqlalchemy.ext.asyncio import AsyncSession

from renova.compute import transitions
from renova.compute.caller import Caller
from renova.compute.quotas import UNLIMITED, Limits, limits_of
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


@dataclass(frozen=True)
class Rules:
    """What the configuration and a project's quota say of metadata."""

    limits: Limits
    profile: str

    @classmethod
    async def of(cls, session: AsyncSession, conf: cfg.ConfigOpts, project_id: str) -> Self:
        limits = await limits_of(session, Limits.of(conf), project_id)
        return cls(limits, conf.compute.profile)


def new_set(rules: Rules, caller: Caller, sent: dict[str, str]) -> tuple[dict[str, str], str | None]:
    """What a new or rebuilt server gets of the metadata that was sent: its owner's part, and a charging mode.

    Raises TooMuchMetadata, and Forbidden or Invalid where the charging mode is not to be set so.
    """
    own, charging_mode = _split(rules, caller, sent)
    _check_number(rules, own)
    return own, charging_mode


def shown(server: Server) -> dict[str, str]:
    """The owner's metadata, and `charging_mode` where it is not the default.

    Shown for every server it would be a key that the owner never set, which Nova's own tests refuse to see.
    """
    charging = {} if server.charging_mode == PAY_PER_USE else {CHARGING_MODE: server.charging_mode}
    return server.meta | charging


async def write(
    session: AsyncSession,
    rules: Rules,
    caller: Caller,
    server: Server,
    sent: dict[str, str],
    *,
    replace: bool,
) -> None:
    """`sent` becomes the whole set, or is added to it.

    Raises ServerLocked, ServerBusy, TooMuchMetadata, Forbidden, Invalid.
    """
    own, charging_mode = _split(rules, caller, sent)
    await _lock(session, caller, server, "update metadata")
    changed = own if replace else server.meta | own
    _check_number(rules, changed)
    server.meta = changed
    server.charging_mode = charging_mode or server.charging_mode
    await session.flush()


async def remove(session: AsyncSession, rules: Rules, caller: Caller, server: Server, name: str) -> None:
    """Drop one item. Raises MetadataItemNotFound, ServerLocked, ServerBusy, Forbidden."""
    if name not in shown(server):
        raise MetadataItemNotFound
    _, charging_mode = _split(rules, caller, {name: PAY_PER_USE})
    await _lock(session, caller, server, "delete metadata")
    server.meta = {key: value for key, value in server.meta.items() if key != name}
    server.charging_mode = charging_mode or server.charging_mode
    await session.flush()


def _split(rules: Rules, caller: Caller, sent: dict[str, str]) -> tuple[dict[str, str], str | None]:
    """The owner's part of what was sent, and the charging mode if it is in there."""
    if rules.profile != "noa" or CHARGING_MODE not in sent:
        return sent, None
    if not caller.is_admin:
        raise Forbidden(f"Metadata item {CHARGING_MODE} is set by the operator of the cloud.")
    mode = sent[CHARGING_MODE]
    if mode not in CHARGING_MODES:
        raise Invalid(f"{CHARGING_MODE} is one of {', '.join(sorted(CHARGING_MODES))}.")
    return {name: value for name, value in sent.items() if name != CHARGING_MODE}, mode


def _check_number(rules: Rules, metadata: dict[str, str]) -> None:
    allowed = rules.limits.metadata_items
    if UNLIMITED != allowed < len(metadata):
        raise TooMuchMetadata(allowed)


async def _lock(session: AsyncSession, caller: Caller, server: Server, action: str) -> None:
    """As in Nova a task that is under way is no hindrance: what a client writes while a rebuild runs wins."""
    await transitions.lock(session, server)  # Two clients that each add an item must not lose one.
    if server.locked_by is not None and not caller.is_admin:
        raise ServerLocked(server.id)
    if server.vm_state not in _CHANGEABLE:
        raise ServerBusy(server.id, action, "vm_state", server.vm_state)
