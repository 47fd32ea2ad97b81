"""What every call has in common: bodies, the action that a body names, and how failures look."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.unit.things_api import fault


class TestBodies:
    MALFORMED = "Malformed request body"

    @pytest.mark.parametrize(
        "body",
        [
            b"{",
            b"nonsense",
            b'{"thing": NaN}',
            b'{"thing": {"name": "\\ud800"}}',
            b'{"thing": {"name": "a\\u0000b"}}',
            b"\xff\xfe",
            b"[" * 900,
        ],
    )
    async def test_malformed_json(self, things: httpx.AsyncClient, body: bytes) -> None:
        answer = await things.post("/v2.1/things", content=body, headers={"Content-Type": "application/json"})
        assert fault(answer, 400, "badRequest") == self.MALFORMED

    async def test_an_escaped_backslash_before_u0000_is_plain_text(self, things: httpx.AsyncClient) -> None:
        answer = await things.post("/v2.1/things", content=rb'{"thing": {"name": "a\\u0000b"}}')
        assert answer.json()["thing"]["name"] == r"a\u0000b"

    @pytest.mark.parametrize("body", [b"", b"[]", b'"text"', b"3", b"null"])
    async def test_a_body_that_is_no_object(self, things: httpx.AsyncClient, body: bytes) -> None:
        message = fault(await things.post("/v2.1/things", content=body), 400, "badRequest")
        value = repr(json.loads(body)) if body else "None"
        assert message == f"{value} is not of type 'object'"

    async def test_wrong_type_of_content(self, things: httpx.AsyncClient) -> None:
        answer = await things.post(
            "/v2.1/things", content=b"<x/>", headers={"Content-Type": "application/xml"}
        )
        assert fault(answer, 415, "badMediaType") == "Unsupported Content-Type"

    @pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "text/plain"])
    async def test_types_that_are_taken_for_json(self, things: httpx.AsyncClient, kind: str) -> None:
        body = json.dumps({"thing": {"name": "x"}}).encode()
        assert (
            await things.post("/v2.1/things", content=body, headers={"Content-Type": kind})
        ).status_code == 201

    async def test_too_large(self, things: httpx.AsyncClient) -> None:
        fault(await things.post("/v2.1/things", content=b" " * 1001), 413, "overLimit")

    async def test_too_large_without_a_length(self, things: httpx.AsyncClient) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(11):
                yield b" " * 100

        fault(await things.post("/v2.1/things", content=chunks()), 413, "overLimit")

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ({}, "'thing' is a required property"),
            (
                {"thing": {"name": "x"}, "more": 1},
                "Additional properties are not allowed ('more' was unexpected)",
            ),
            (
                {"thing": {"name": ""}},
                "Invalid input for field/attribute name. Value: . '' is too short",
            ),
            (
                {"thing": {"name": 3}},
                "Invalid input for field/attribute name. Value: 3. 3 is not of type 'string'",
            ),
            (
                {"thing": {}},
                "Invalid input for field/attribute thing. Value: {}. 'name' is a required property",
            ),
            (
                {"thing": {"name": "x", "colour": "red"}},
                "Invalid input for field/attribute thing. Value: {'name': 'x', 'colour': 'red'}. "
                "Additional properties are not allowed ('colour' was unexpected)",
            ),
            (
                {"thing": {"name": " x"}},
                "An invalid 'name' value was provided. The name must be: printable characters. "
                "Can not start or end with whitespace.",
            ),
        ],
    )
    async def test_what_a_schema_refuses_in_novas_words(
        self, things: httpx.AsyncClient, body: Any, message: str
    ) -> None:
        assert fault(await things.post("/v2.1/things", json=body), 400, "badRequest") == message

    async def test_v2_drops_what_it_does_not_know_and_strips_names(self, things: httpx.AsyncClient) -> None:
        answer = await things.post("/v2/things", json={"thing": {"name": " x ", "colour": 3}, "more": 1})
        assert answer.json()["thing"]["name"] == "x"


class TestActions:
    async def test_an_action_is_chosen_by_the_body(self, things: httpx.AsyncClient) -> None:
        answer = await things.post("/v2.1/things/1/action", json={"paint": "red"})
        assert answer.status_code == 202
        assert answer.json() == {"painted": "red"}

    async def test_unknown_action(self, things: httpx.AsyncClient) -> None:
        answer = await things.post("/v2.1/things/1/action", json={"eat": {}})
        assert fault(answer, 400, "badRequest") == "There is no such action: eat"

    @pytest.mark.parametrize("body", [None, {}, [], {"paint": 1, "melt": 2}])
    async def test_not_one_action(self, things: httpx.AsyncClient, body: Any) -> None:
        answer = await things.post("/v2.1/things/1/action", json=body)
        assert fault(answer, 400, "badRequest") == "Malformed request body"

    async def test_an_action_that_the_version_lacks(self, things: httpx.AsyncClient) -> None:
        fault(await things.post("/v2.1/things/1/action", json={"melt": {}}), 404, "itemNotFound")


class TestFailures:
    async def test_errors_of_the_layers_below(self, things: httpx.AsyncClient) -> None:
        assert (
            fault(await things.get("/v2.1/failures/missing"), 404, "itemNotFound")
            == "Thing x could not be found."
        )
        assert fault(await things.get("/v2.1/failures/busy"), 409, "conflictingRequest") == "busy"

    @pytest.mark.parametrize("kind", ["glance", "database"])
    async def test_something_that_we_stand_on_is_away(self, things: httpx.AsyncClient, kind: str) -> None:
        answer = await things.get(f"/v2.1/failures/{kind}")
        assert "secret" not in fault(answer, 503, "serviceUnavailable")
        assert int(answer.headers["retry-after"]) > 0

    async def test_a_bug_is_logged_and_not_shown(
        self, things: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        answer = await things.get("/v2.1/failures/bug")
        message = fault(answer, 500, "computeFault")
        assert message.startswith("Unexpected API Error.")
        assert answer.headers["x-openstack-request-id"] in message
        assert "insides" not in answer.text
        assert "ZeroDivisionError" not in answer.text
        assert "a detail of our insides" in caplog.text
