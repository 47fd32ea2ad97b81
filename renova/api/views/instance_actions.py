"""What a client sees of a server's actions and their events (os-instance-actions).

Source: Nova's API reference, "Servers actions (servers, os-instance-actions)", and its samples
(doc/api_samples/os-instance-actions).
"""

from typing import Annotated, Any

from pydantic import Field

from renova.api.marked import View
from renova.api.microversions import since, until
from renova.api.views.hosts import host_id
from renova.api.views.times import to_the_microsecond
from renova.db.tables import Action, Event


class EventView(View):
    event: str
    start_time: str | None
    finish_time: str | None
    result: str | None
    host_id: Annotated[str, Field(alias="hostId"), since("2.62")]
    # What happened, and next to whom: only for those whom os-instance-actions:events:details lets see it.
    details: Annotated[str | None, since("2.84")] = None
    # Only for those whom os-instance-actions:events lets see it.
    traceback: str | None = None
    host: Annotated[str, since("2.62")] = ""


class ActionEntry(View):
    """One action of GET /servers/{id}/os-instance-actions."""

    action: str
    instance_uuid: str
    request_id: str
    user_id: str
    project_id: str
    start_time: str | None
    message: str | None
    updated_at: Annotated[str | None, since("2.58")]


class ActionDetail(ActionEntry):
    """One action with its events, which owners see from 2.51 on and before it admins only."""

    privileged_events: Annotated[list[EventView] | None, Field(alias="events"), until("2.50")] = None
    shown_events: Annotated[list[EventView], Field(alias="events"), since("2.51")]


def entry(action: Action) -> ActionEntry:
    return ActionEntry(**_common(action))


def detail(action: Action, *, with_tracebacks: bool, with_details: bool) -> ActionDetail:
    """The action's events have to be loaded. `with_tracebacks`: policy lets the caller see tracebacks and
    hosts, and `with_details` what a failed step said.
    """
    events = [_event(action, event, with_tracebacks, with_details) for event in action.events]
    privileged = {"privileged_events": events} if with_tracebacks else {}
    return ActionDetail(**_common(action), **privileged, shown_events=events)


def _common(action: Action) -> dict[str, Any]:
    return {
        "action": action.action,
        "instance_uuid": action.server_id,
        "request_id": action.request_id,
        "user_id": action.user_id,
        "project_id": action.project_id,
        "start_time": to_the_microsecond(action.started_at),
        "message": action.message,
        "updated_at": to_the_microsecond(action.updated_at),
    }


def _event(action: Action, event: Event, with_traceback: bool, with_details: bool) -> EventView:
    optional: dict[str, str | None] = {}
    if with_traceback:
        optional |= {"traceback": event.traceback, "host": event.host}
    if with_details:
        optional["details"] = event.details
    return EventView(
        event=event.name,
        start_time=to_the_microsecond(event.started_at),
        finish_time=to_the_microsecond(event.finished_at),
        result=event.result,
        host_id=host_id(action.project_id, event.host),
        **optional,
    )
