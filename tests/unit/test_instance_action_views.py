"""Actions and events against the documents of Nova's API reference, doc/api_samples/os-instance-actions."""

from datetime import UTC, datetime
from typing import Any

import pytest

from renova.api.microversions import parse
from renova.api.views import instance_actions as views
from renova.db.tables import Action, Event

# instance-actions-list-resp.json
ACTION = {
    "action": "stop",
    "instance_uuid": "e0a7ed34-899c-4b4d-8637-11ca627346ef",
    "message": None,
    "project_id": "6f70656e737461636b20342065766572",
    "request_id": "req-14122cb1-4256-4a16-a4f9-6faf494afaa7",
    "start_time": "2018-04-25T01:26:29.074293",
    "user_id": "admin",
}
# v2.51/instance-action-get-non-admin-resp.json
EVENT = {
    "event": "compute_stop_instance",
    "finish_time": "2018-04-25T01:26:29.585618",
    "result": "Success",
    "start_time": "2018-04-25T01:26:29.299627",
}
# instance-action-get-resp.json
EVENT_FOR_ADMINS = EVENT | {"traceback": None}
# v2.58/instance-actions-list-resp.json
ACTION_2_58 = ACTION | {"updated_at": "2018-04-25T01:26:29.585618"}
# v2.62/instance-action-get-non-admin-resp.json; the hash is that of the project and "compute".
EVENT_2_62 = EVENT | {"hostId": "2091634baaccdc4c5a1d57069c833e402921df696b7f970791b12ec6"}
# v2.62/instance-action-get-resp.json
EVENT_FOR_ADMINS_2_62 = EVENT_2_62 | {"traceback": None, "host": "compute"}
# v2.84/instance-action-get-resp.json
EVENT_FOR_ADMINS_2_84 = EVENT_FOR_ADMINS_2_62 | {"details": None}


def at(microsecond: int) -> datetime:
    return datetime(2018, 4, 25, 1, 26, 29, microsecond, tzinfo=UTC)


def make_action() -> Action:
    event = Event(
        name="compute_stop_instance",
        started_at=at(299627),
        finished_at=at(585618),
        result="Success",
        host="compute",
        details=None,
        traceback=None,
    )
    return Action(
        action="stop",
        server_id=ACTION["instance_uuid"],
        request_id=ACTION["request_id"],
        project_id=ACTION["project_id"],
        user_id="admin",
        message=None,
        started_at=at(74293),
        updated_at=at(585618),
        events=[event],
    )


def test_list() -> None:
    assert views.entry(make_action()).at(parse("2.57")) == ACTION
    assert views.entry(make_action()).at(parse("2.58")) == ACTION_2_58


@pytest.mark.parametrize(
    ("version", "privileged", "expected"),
    [
        ("2.1", True, ACTION | {"events": [EVENT_FOR_ADMINS]}),
        ("2.50", False, ACTION),
        ("2.51", False, ACTION | {"events": [EVENT]}),
        ("2.57", True, ACTION | {"events": [EVENT_FOR_ADMINS]}),
        ("2.58", True, ACTION_2_58 | {"events": [EVENT_FOR_ADMINS]}),
        ("2.61", False, ACTION_2_58 | {"events": [EVENT]}),
        ("2.62", False, ACTION_2_58 | {"events": [EVENT_2_62]}),
        ("2.62", True, ACTION_2_58 | {"events": [EVENT_FOR_ADMINS_2_62]}),
        ("2.83", True, ACTION_2_58 | {"events": [EVENT_FOR_ADMINS_2_62]}),
        ("2.84", False, ACTION_2_58 | {"events": [EVENT_2_62]}),
        ("2.84", True, ACTION_2_58 | {"events": [EVENT_FOR_ADMINS_2_84]}),
    ],
)
def test_show(version: str, privileged: bool, expected: dict[str, Any]) -> None:
    view = views.detail(make_action(), with_tracebacks=privileged, with_details=privileged)
    assert view.at(parse(version)) == expected


def test_an_event_under_way_has_no_end() -> None:
    action = make_action()
    action.events[0].finished_at, action.events[0].result = None, None
    view = views.detail(action, with_tracebacks=False, with_details=False)
    (event,) = view.at(parse("2.51"))["events"]
    assert (event["finish_time"], event["result"]) == (None, None)
