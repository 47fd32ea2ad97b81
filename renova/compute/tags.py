"""A server's tags: a sorted set of short words, at most fifty."""

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncSession

from renova.compute import transitions
from renova.compute.states import VmState
from renova.db.tables import Server
from renova.errors import Invalid, NotFound, ServerBusy

MOST = 50
LONGEST = 60
_CHANGEABLE = frozenset((VmState.ACTIVE, VmState.STOPPED))


class TagNotFound(NotFound):
    def __init__(self, server_id: str, tag: str) -> None:
        super().__init__(f"Server {server_id} has no tag '{tag}'")


class TagInvalid(Invalid):
    def __init__(self, tag: str) -> None:
        fault = "is too long" if len(tag) > LONGEST else "does not match '^[^,/]*$'"
        super().__init__(
            f"Tag '{tag}' is invalid. It must be a non empty string without characters '/' and ','. "
            f"Validation error message: {tag!r} {fault}"
        )


class TooManyTags(Invalid):
    """More tags than a server may have."""

    def __init__(self) -> None:
        super().__init__(f"The number of tags exceeded the per-server limit {MOST}")


async def replace(session: AsyncSession, server: Server, tags: Iterable[str], action: str) -> None:
    """`tags` become the whole set. Raises ServerBusy in Nova's words for `action`."""
    await _lock(session, server, action)
    server.tags = sorted({*tags})
    await session.flush()


async def add(session: AsyncSession, server: Server, tag: str) -> bool:
    """False where the server has the tag already. Raises ServerBusy, TagInvalid, TooManyTags."""
    await _lock(session, server, "update tag")
    if len(tag) > LONGEST or not {",", "/"}.isdisjoint(tag):
        raise TagInvalid(tag)
    if len(server.tags) >= MOST:
        raise TooManyTags
    if tag in server.tags:
        return False
    server.tags = sorted([*server.tags, tag])
    await session.flush()
    return True


async def remove(session: AsyncSession, server: Server, tag: str) -> None:
    """Raises ServerBusy, TagNotFound."""
    await _lock(session, server, "delete tag")
    if tag not in server.tags:
        raise TagNotFound(server.id, tag)
    server.tags = [other for other in server.tags if other != tag]
    await session.flush()


async def _lock(session: AsyncSession, server: Server, action: str) -> None:
    await transitions.lock(session, server)  # Two clients that each add a tag must not lose one.
    if server.vm_state not in _CHANGEABLE:
        raise ServerBusy(server.id, action, "vm_state", server.vm_state)
