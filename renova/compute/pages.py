"""Paging of lists: page n costs no more than page 1, and no row is skipped or told twice.

Source: Nova's API guide, "Paginated collections". The marker names the last item of the page before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import ColumnElement, Select, and_, false, literal, or_
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from renova.errors import Invalid

# What PostgreSQL raises for a pattern. One that unfolds to gigabytes is an internal error to it.
_REFUSED_PATTERNS = (
    psycopg.errors.InvalidRegularExpression,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.InternalError_,
)


class MarkerNotFound(Invalid):
    """The item after which a page begins does not exist, or is not the caller's."""

    def __init__(self, marker: str) -> None:
        super().__init__(f"marker [{marker}] not found")


@dataclass(frozen=True)
class Page:
    """A part of a list. `limit` None is everything; `sort_dirs` has "asc" or "desc" per sort key."""

    limit: int | None = None
    marker: str | None = None
    sort_keys: tuple[str, ...] = ()
    sort_dirs: tuple[str, ...] = ()


async def fetch_page(
    session: AsyncSession,
    statement: Select[Any],
    page: Page,
    *,
    columns: Mapping[str, InstrumentedAttribute[Any]],
    unique: InstrumentedAttribute[Any],
    marker_column: InstrumentedAttribute[Any],
    marker_among: Select[Any] | None = None,
) -> list[Any]:
    """The rows of `statement` that are on `page`.

    `columns` maps the API's sort keys to columns; a key that it does not have raises KeyError, so the schema
    of the request has to name the same ones. `unique` breaks ties and follows the direction of the last key.
    Rows whose key is null come first when the order is ascending. The marker is looked for in
    `marker_among` (default: `statement`), so that a row which a filter no longer lets through still marks its
    place. Raises MarkerNotFound when it is not there, and Invalid for a bad regular expression in
    `statement`.
    """
    order = [
        (columns[key], direction == "desc")
        for key, direction in zip(page.sort_keys, page.sort_dirs, strict=True)
    ]
    order.append((unique, order[-1][1] if order else False))
    if page.marker is not None:
        found = await session.execute(
            (statement if marker_among is None else marker_among)
            .with_only_columns(*(column for column, _ in order))
            .where(marker_column == page.marker)
        )
        marker = found.first()
        if marker is None:
            raise MarkerNotFound(page.marker)
        statement = statement.where(_after(order, tuple(marker)))
    statement = statement.order_by(
        *(
            column.desc().nulls_last() if descending else column.asc().nulls_first()
            for column, descending in order
        )
    )
    if page.limit is not None:
        statement = statement.limit(page.limit)
    try:
        return list((await session.scalars(statement)).unique())
    except DBAPIError as error:
        # PostgreSQL's regular expressions are not quite Python's, so only it can tell.
        if isinstance(error.orig, _REFUSED_PATTERNS):
            raise Invalid(f"Invalid filter: {error.orig.diag.message_primary}") from error
        raise


def _after(
    order: list[tuple[InstrumentedAttribute[Any], bool]], marker: tuple[Any, ...]
) -> ColumnElement[bool]:
    """What is true of rows that come after the marker: equal in the first keys and beyond it in the next."""
    choices = []
    for position, (column, descending) in enumerate(order):
        same = [_same(earlier, value) for (earlier, _), value in zip(order[:position], marker, strict=False)]
        choices.append(and_(*same, _beyond(column, marker[position], descending)))
    return or_(*choices)


def _same(column: InstrumentedAttribute[Any], value: Any) -> ColumnElement[bool]:
    return column.is_(None) if value is None else column == value


def _beyond(column: InstrumentedAttribute[Any], value: Any, descending: bool) -> ColumnElement[bool]:
    """Nulls come first when ascending and last when descending."""
    if value is None:
        return false() if descending else column.is_not(None)
    bound = literal(value, column.type)  # SQLAlchemy compares no column with a bare True.
    beyond: ColumnElement[bool] = column < bound if descending else column > bound
    return beyond | column.is_(None) if descending else beyond
