"""The operating systems of a server, one row each, and how values pass between them and the server.

A server's row is what was asked for; the generation that `servers.generation` names is what runs.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Integer, any_, bindparam, case, delete, func, insert, inspect, null, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from renova.db.statements import Statement
from renova.db.tables import Generation, Server, System
from renova.image import Image

SYSTEM_COLUMNS = tuple(System.__annotations__)
# Of each rebuild: made once, on the table alone.
_rows = Generation.__table__
_of_server = _rows.c.server_id == bindparam("server")
_PREPARED = Statement(
    update(_rows)
    .where(_of_server, _rows.c.number == bindparam("this"))
    .values(prepared_at=bindparam("prepared_at"), virtual_size=bindparam("virtual_size"))
)
_FORGET_ADMIN_PASS = update(_rows).where(_of_server).values(admin_pass=None)
_EPHEMERAL = Statement(select(_rows.c.number, _rows.c.ephemeral_generation).where(_of_server))
_FORGET = Statement(
    delete(_rows).where(_of_server, _rows.c.number == any_(bindparam("numbers", type_=ARRAY(Integer))))
)
SUPERSEDING = _FORGET_ADMIN_PASS.values(
    superseded_at=case(
        (_rows.c.number == bindparam("old"), func.now()),
        (_rows.c.number == bindparam("new"), null()),
        else_=_rows.c.superseded_at,
    )
)
"""What `supersede` sends, to be given `server`, `old` and `new`."""
_SUPERSEDE = Statement(SUPERSEDING)

_columns = inspect(Generation).columns
_system: dict[Any, Any] = {_columns[name]: bindparam(f"its_{name}") for name in SYSTEM_COLUMNS}
_WRITE = Statement(update(_rows).where(_of_server, _rows.c.number == bindparam("this")).values(_system))
_ADD = Statement(
    insert(_rows).values(
        {
            _rows.c.server_id: bindparam("its_server"),
            _rows.c.number: bindparam("its_number"),
            _rows.c.digest: bindparam("its_digest"),
            _rows.c.disk_format: bindparam("its_disk_format"),
            _rows.c.size: bindparam("its_size"),
            _rows.c.admin_pass: bindparam("its_admin_pass"),
            _rows.c.ephemeral_generation: case(
                (
                    bindparam("ephemeral_of", type_=Integer) == bindparam("its_number"),
                    bindparam("its_number"),
                ),
                else_=select(_rows.c.ephemeral_generation)
                .where(
                    _rows.c.server_id == bindparam("its_server"), _rows.c.number == bindparam("ephemeral_of")
                )
                .scalar_subquery(),
            ),
        }
        | _system
    )
)


def _bound(system: dict[str, Any]) -> dict[str, Any]:
    return {f"its_{name}": value for name, value in system.items()}


def system_of(row: System) -> dict[str, Any]:
    """The columns that a server and its generations share, as values."""
    return {name: getattr(row, name) for name in SYSTEM_COLUMNS}


async def add_generation(
    session: AsyncSession,
    server_id: str,
    number: int,
    image: Image,
    system: dict[str, Any],
    *,
    ephemeral_of: int | None,
    admin_pass: str | None,
) -> None:
    """A generation still to be made: `prepared_at` is set when its files are whole. It has the ephemeral disk
    of `ephemeral_of`, if that one has any; where that is its own number, one is made for it.
    """
    values = {
        "its_server": server_id,
        "its_number": number,
        "its_digest": image.digest,
        "its_disk_format": image.disk_format,
        "its_size": image.size,
        "its_admin_pass": admin_pass,
        "ephemeral_of": ephemeral_of,
    }
    await _ADD.run(session, values | _bound(system))


async def copy_generation(session: AsyncSession, server: Server) -> None:
    """A generation still to be made, `generations_made`, of the same image as the one that runs.

    It gets an ephemeral disk of its own, so that the one before can be gone back to as it was.
    """
    now = await get_generation(session, server.id, server.generation)
    number = server.generations_made
    session.add(
        Generation(
            server_id=server.id,
            number=number,
            digest=now.digest,
            disk_format=now.disk_format,
            size=now.size,
            ephemeral_generation=number if server.flavor["ephemeral"] else None,
            **system_of(server),
        )
    )
    await session.flush()


async def write(session: AsyncSession, server_id: str, number: int, system: dict[str, Any]) -> None:
    """What a server has, or had, with this generation."""
    await _WRITE.run(session, {"server": server_id, "this": number} | _bound(system))


async def mark_prepared(session: AsyncSession, generation: Generation, virtual_size: int) -> None:
    """Its files are whole, and its root disk has so many bytes."""
    generation.prepared_at, generation.virtual_size = datetime.now(UTC), virtual_size
    values = {"prepared_at": generation.prepared_at, "virtual_size": virtual_size}
    await _PREPARED.run(session, {"server": generation.server_id, "this": generation.number} | values)


async def forget_admin_pass(session: AsyncSession, server_id: str) -> None:
    """The action that was to set a password has ended, well or not."""
    await session.execute(_FORGET_ADMIN_PASS, {"server": server_id})


async def supersede(session: AsyncSession, server_id: str, old: int, new: int) -> None:
    """From now on `new` is the server's and `old` is kept for going back to it. No password is still to be
    set.
    """
    await _SUPERSEDE.run(session, {"server": server_id, "old": old, "new": new})


async def previous_of(session: AsyncSession, server: Server) -> Generation | None:
    """The generation before the server's, if it is kept and its files are whole."""
    kept: Generation | None = await session.scalar(
        select(Generation)
        .where(
            Generation.server_id == server.id,
            Generation.number != server.generation,
            Generation.superseded_at.is_not(None),
            Generation.prepared_at.is_not(None),
        )
        .order_by(Generation.superseded_at.desc())
        .limit(1)
    )
    return kept


async def find_generation(session: AsyncSession, server_id: str, number: int) -> Generation | None:
    return await session.get(Generation, (server_id, number), populate_existing=True)


async def get_generation(session: AsyncSession, server_id: str, number: int) -> Generation:
    """The row, which exists for as long as the server or an open action names the number."""
    generation = await find_generation(session, server_id, number)
    if generation is None:
        raise LookupError(f"server {server_id} has no generation {number}")
    return generation


async def share_ephemeral(session: AsyncSession, server_id: str, old: int, new: int) -> None:
    """Whoever had the ephemeral disk of `old`, but for `old` itself, has that of `new` from now on: it is the
    same disk, copied.
    """
    made_by = await ephemeral_generations(session, server_id)
    if old not in made_by:
        return
    await session.execute(
        update(Generation)
        .where(
            Generation.server_id == server_id,
            Generation.number != old,
            Generation.ephemeral_generation.is_not_distinct_from(made_by[old]),
        )
        .values(ephemeral_generation=made_by[new])
    )


async def ephemeral_generations(session: AsyncSession, server_id: str) -> dict[int, int | None]:
    """The number of each generation of a server, and of the one that made its ephemeral disk."""
    return dict(await _EPHEMERAL.rows(session, {"server": server_id}))


async def forget(session: AsyncSession, server_id: str, numbers: Collection[int]) -> None:
    """Drop generations whose files are gone; the base images that only they pinned may be evicted from now
    on.
    """
    await _FORGET.run(session, {"server": server_id, "numbers": list(numbers)})


def put_back(server: Server, written: System, earlier: System) -> None:
    """Give a server its earlier values again, each only where it still holds what the rebuild wrote.

    A later PUT or metadata call of the owner wins over the restore.
    """
    for column in SYSTEM_COLUMNS:
        if getattr(server, column) == getattr(written, column):
            setattr(server, column, getattr(earlier, column))
