"""Actions and their events: what was asked of a server, how far it came, and whether it went well.

The same rows are os-instance-actions for a client and the memory of an agent. An action is open until
`finished_at`.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import procrastinate
from sqlalchemy import bindparam, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from renova import jobs as queue
from renova.compute.caller import Caller
from renova.compute.pages import Page, fetch_page
from renova.db.statements import Statement
from renova.db.tables import Action, Event, Server

_rows = Action.__table__
_OPEN = Statement(
    insert(_rows).values(
        {
            _rows.c[name]: bindparam(f"its_{name}")
            for name in (
                *("id", "server_id", "action", "request_id", "user_id", "project_id", "host", "detail"),
            )
        }
    )
)


async def open_action(
    session: AsyncSession,
    jobs: procrastinate.App,
    caller: Caller,
    server: Server,
    name: str,
    detail: dict[str, Any] | None = None,
) -> None:
    """The action's row and its job, in the transaction that begins it."""
    row = _row(caller, server, name) | {"detail": detail or {}}
    await _OPEN.run(session, {f"its_{name}": value for name, value in row.items()})
    await queue.defer_action(jobs, session, action_id=row["id"], host=server.host)


async def record(session: AsyncSession, caller: Caller, server: Server, name: str) -> None:
    """An action that is done when its request is: no agent hears of it. Its one event has Nova's name."""
    event = Event(name=f"api_{name}", host=server.host, finished_at=func.now(), result="Success")
    session.add(Action(**_row(caller, server, name), finished_at=func.now(), events=[event]))
    await session.flush()


def _row(caller: Caller, server: Server, name: str) -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "server_id": server.id,
        "action": name,
        "request_id": caller.request_id,
        "user_id": caller.user_id,
        "project_id": caller.project_id,
        "host": server.host,
    }


async def list_actions(
    session: AsyncSession,
    server_id: str,
    page: Page,
    *,
    changes_since: datetime | None = None,
    changes_before: datetime | None = None,
) -> list[Action]:
    """One page, newest first, as Nova lists them. The marker is a request id. Raises MarkerNotFound."""
    known = select(Action).where(Action.server_id == server_id)
    statement = known
    if changes_since is not None:
        statement = statement.where(Action.updated_at >= changes_since)
    if changes_before is not None:
        statement = statement.where(Action.updated_at <= changes_before)
    return await fetch_page(
        session,
        statement,
        replace(page, sort_keys=("started_at",), sort_dirs=("desc",)),
        columns={"started_at": Action.started_at},
        unique=Action.id,
        marker_column=Action.request_id,
        marker_among=known,
    )


async def find_action(session: AsyncSession, server_id: str, request_id: str) -> Action | None:
    """One action of a server with its events loaded."""
    action: Action | None = await session.scalar(
        select(Action)
        .where(Action.server_id == server_id, Action.request_id == request_id)
        .options(selectinload(Action.events))
    )
    return action


async def last_success(session: AsyncSession, server_id: str, name: str) -> Action | None:
    """The newest action of this name that came to a good end."""
    action: Action | None = await session.scalar(
        select(Action)
        .where(
            Action.server_id == server_id,
            Action.action == name,
            Action.settled_at.is_not(None),
            Action.failed_step.is_(None),
        )
        .order_by(Action.settled_at.desc())
        .limit(1)
    )
    return action


async def last_of(session: AsyncSession, server_id: str, names: Collection[str]) -> Action | None:
    """The newest action with one of these names."""
    action: Action | None = await session.scalar(
        select(Action)
        .where(Action.server_id == server_id, Action.action.in_(names))
        .order_by(Action.started_at.desc())
        .limit(1)
    )
    return action


async def open_actions(session: AsyncSession, host: str) -> list[str]:
    """Ids of what an agent of `host` has to carry on, oldest first."""
    rows = await session.scalars(
        select(Action.id).where(Action.host == host, Action.finished_at.is_(None)).order_by(Action.started_at)
    )
    return list(rows)


def fault_of(message: str, details: str = "") -> dict[str, Any]:
    """`fault` as a client sees it: Nova's keys."""
    return {
        "code": 500,
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "message": message,
        "details": details,
    }
