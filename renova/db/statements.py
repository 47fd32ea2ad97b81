"""Statements that are sent often: SQLAlchemy writes their text once, and psycopg's own cursor sends it.

On the way through SQLAlchemy's session each of them would cost several times what it costs otherwise.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import psycopg
from sqlalchemy import ClauseElement, Dialect, Select, inspect
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import make_transient_to_detached
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.sql.dml import UpdateBase

from renova.db.session import driver_connection
from renova.db.tables import Base

Entity = TypeVar("Entity", bound=Base)
Row = tuple[Any, ...]
_dialect: Dialect = PGDialect_psycopg(dbapi=psycopg)  # type: ignore[no-untyped-call]


class Statement:
    """One statement, with named values (`bindparam`) that are given each time.

    It is sent as part of what the session is in: what the session has still to write goes first.
    """

    def __init__(self, statement: Select[Any] | UpdateBase) -> None:
        assert isinstance(statement, ClauseElement)
        self.is_select = isinstance(statement, Select)
        compiled = statement.compile(dialect=_dialect)
        self._text = str(compiled)
        bound = {name: value for value, name in compiled.bind_names.items()}
        # What the statement says itself. A value that is to be given and is not is an error of psycopg's.
        self._values = {name: value.value for name, value in bound.items() if not value.required}
        dumps = {
            name: value.type.dialect_impl(_dialect).bind_processor(_dialect) for name, value in bound.items()
        }
        self._dumps = {name: dump for name, dump in dumps.items() if dump is not None}

    async def run(self, session: AsyncSession, values: Mapping[str, Any]) -> None:
        """For what returns nothing."""
        await self._send(session, values, returns=False)

    async def rows(self, session: AsyncSession, values: Mapping[str, Any]) -> list[Row]:
        return await self._send(session, values, returns=True)

    async def row(self, session: AsyncSession, values: Mapping[str, Any]) -> Row | None:
        """For what returns one row at most."""
        return next(iter(await self.rows(session, values)), None)

    async def _send(self, session: AsyncSession, values: Mapping[str, Any], *, returns: bool) -> list[Row]:
        if session.new or session.dirty or session.deleted:
            await session.flush()
        given = {**self._values, **values}
        for name, dump in self._dumps.items():
            given[name] = dump(given[name])
        async with driver_connection(session) as connection, connection.cursor() as cursor:
            await cursor.execute(self._text, given)
            return await cursor.fetchall() if returns else []


class Columns(Generic[Entity]):
    """The columns of a class of `tables`, as a statement selects them, and objects of what it returns."""

    def __init__(self, entity: type[Entity]) -> None:
        self._entity = entity
        self._names = tuple(attribute.key for attribute in inspect(entity).column_attrs)
        self.all = tuple(getattr(entity, name) for name in self._names)

    def make(self, row: Sequence[Any]) -> Entity:
        """An object of a row, as a session leaves it behind. It has no relationships yet."""
        made = self._entity()
        # Straight away, since nothing is known of it that these could differ from: a fifth of the time.
        vars(made).update(zip(self._names, row, strict=True))
        make_transient_to_detached(made)
        return made

    def fill(self, known: Entity, row: Sequence[Any]) -> None:
        """What PostgreSQL says that the row holds: the ORM is not to guess it."""
        for name, value in zip(self._names, row, strict=True):
            set_committed_value(known, name, value)
