"""What every call has in common: paths, tokens, microversions, bodies, links, and how failures look."""

import json
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
import sqlalchemy.exc
from pydantic import Field

from renova.api.marked import Request, View
from renova.api.microversions import MAXIMUM, since, until
from renova.api.policies import SERVERS
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.types import Name, Paged
from renova.errors import Conflict, NotFound, Unavailable
from tests.api_client import PROJECT, MadeUpTokens, api_client, configure

REQUEST_ID = re.compile(r"req-[0-9a-f-]{36}")

routes = Routes()


class Thing(Request):
    name: Name
    colour: Annotated[str, since("2.19")] = "none"


class NewThing(Request):
    thing: Thing


class ThingView(View):
    name: str
    old: Annotated[int, until("2.18")]
    colour: Annotated[str, since("2.19"), Field(alias="OS-EXT:colour")]


@routes.on("GET", "/things")
async def index(call: Call) -> Answer:
    page = call.page(call.query(Paged))
    names = ["a", "b", "c"][: page.limit]
    return Answer({"things": names, **call.next_links("things", page, names)})


@routes.on("GET", "/things/special")
async def special(_: Call) -> Answer:
    return Answer({"special": True})


@routes.on("GET", "/things/{thing_id}")
async def show(call: Call) -> Answer:
    return Answer({"id": call.path["thing_id"], "links": call.links.of("things", call.path["thing_id"])})


@routes.on("POST", "/things")
async def create(call: Call) -> Answer:
    thing = call.parse(NewThing).thing
    return Answer({"thing": ThingView(name=thing.name, old=1, colour=thing.colour)}, status=201)


@routes.on("DELETE", "/things/{thing_id}")
async def delete(call: Call) -> Answer:
    call.can(SERVERS + "delete")
    return Answer(status=204)


@routes.on("PUT", "/things/{thing_id}", since("2.30"))
async def update(call: Call) -> Answer:
    return Answer({"caller": call.caller.user_id, "sent": call.body})


FAILURES = {
    "missing": NotFound("Thing x could not be found."),
    "busy": Conflict("busy"),
    "glance": Unavailable("The image service does not answer."),
    "database": sqlalchemy.exc.OperationalError("SELECT secret", None, Exception("down")),
    "bug": ZeroDivisionError("a detail of our insides"),
}


@routes.on("GET", "/failures/{kind}")
async def fail(call: Call) -> Answer:
    raise FAILURES[call.path["kind"]]


@routes.action("/things/{thing_id}/action", "paint")
async def paint(call: Call) -> Answer:
    return Answer({"painted": call.body["paint"]}, status=202)


@routes.action("/things/{thing_id}/action", "melt", since("2.40"))
async def melt(_: Call) -> Answer:
    return Answer(status=202)


@pytest.fixture
async def tokens() -> MadeUpTokens:
    return MadeUpTokens()


@pytest.fixture
async def api(tmp_path: Path, tokens: MadeUpTokens) -> AsyncIterator[httpx.AsyncClient]:
    conf = configure(tmp_path, "[api]\nmax_limit = 2\nmax_request_body_size = 1000\n")
    async with api_client(conf, tokens, routes=routes) as client:
        client.headers.update(tokens.give("member"))
        yield client


def fault(answer: httpx.Response, status: int, name: str) -> str:
    """The sentence of an error, after a check of everything around it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    (envelope,) = answer.json().items()
    assert envelope[0] == name
    assert envelope[1]["code"] == status
    assert set(envelope[1]) == {"code", "message"}
    assert isinstance(envelope[1]["message"], str)
    return str(envelope[1]["message"])


class TestPaths:
    @pytest.mark.parametrize("prefix", ["/v2.1", f"/v2.1/{PROJECT}", "/v2", f"/v2/{PROJECT}"])
    async def test_each_form_of_path_is_served_and_links_lead_back_to_it(
        self, api: httpx.AsyncClient, prefix: str
    ) -> None:
        answer = await api.get(f"{prefix}/things/1")
        assert answer.status_code == 200
        bookmark = prefix.replace("/v2.1", "").replace("/v2", "")
        assert answer.json()["links"] == [
            {"rel": "self", "href": f"http://nova.example{prefix}/things/1"},
            {"rel": "bookmark", "href": f"http://nova.example{bookmark}/things/1"},
        ]

    async def test_another_project_in_the_path(self, api: httpx.AsyncClient) -> None:
        message = fault(await api.get("/v2.1/abc123/things"), 400, "badRequest")
        assert message == (
            f"Malformed request URL: URL's project_id 'abc123' doesn't match Context's project_id '{PROJECT}'"
        )

    async def test_a_fixed_word_wins_over_an_id(self, api: httpx.AsyncClient) -> None:
        assert (await api.get("/v2.1/things/special")).json() == {"special": True}

    @pytest.mark.parametrize(
        "path", ["/v2.1/nothing", "/v2.1/things/1/2", f"/v2.1/{PROJECT}", "/v2.1/things/"]
    )
    async def test_unknown_path(self, api: httpx.AsyncClient, path: str) -> None:
        assert fault(await api.get(path), 404, "itemNotFound") == "The resource could not be found."

    async def test_a_name_that_no_database_can_hold_is_not_found(self, api: httpx.AsyncClient) -> None:
        fault(await api.get("/v2.1/things/a%00b"), 404, "itemNotFound")

    async def test_wrong_method_names_the_right_ones(self, api: httpx.AsyncClient) -> None:
        answer = await api.put("/v2.1/things")
        fault(answer, 405, "badMethod")
        assert answer.headers["allow"] == "GET, HEAD, POST"
        answer = await api.get("/v2.1/things/1/action")
        fault(answer, 405, "badMethod")
        assert answer.headers["allow"] == "POST"

    async def test_a_method_that_nobody_knows(self, api: httpx.AsyncClient) -> None:
        fault(await api.request("FROB", "/v2.1/things"), 405, "badMethod")

    async def test_head_is_a_get_without_its_body(self, api: httpx.AsyncClient) -> None:
        got, head = await api.get("/v2.1/things/1"), await api.head("/v2.1/things/1")
        assert head.status_code == 200
        assert head.content == b""
        assert head.headers["content-length"] == got.headers["content-length"]


class TestTokens:
    async def test_no_token(self, api: httpx.AsyncClient) -> None:
        del api.headers["X-Auth-Token"]
        answer = await api.get("/v2.1/things")
        assert answer.status_code == 401
        assert answer.json() == {
            "error": {
                "code": 401,
                "title": "Unauthorized",
                "message": "The request you have made requires authentication.",
            }
        }
        assert answer.headers["www-authenticate"] == 'Keystone uri="http://keystone.example/v3"'

    async def test_a_path_is_not_told_without_a_token(self, api: httpx.AsyncClient) -> None:
        answer = await api.get("/v2.1/nothing", headers={"X-Auth-Token": "stale"})
        assert answer.status_code == 401

    async def test_what_policy_forbids(self, api: httpx.AsyncClient, tokens: MadeUpTokens) -> None:
        answer = await api.delete("/v2.1/things/1", headers=tokens.give("reader"))
        message = fault(answer, 403, "forbidden")
        assert message == "Policy doesn't allow os_compute_api:servers:delete to be performed."
        assert (await api.delete("/v2.1/things/1")).status_code == 204


class TestRequestIds:
    @pytest.mark.parametrize("path", ["/", "/v2.1/", "/v2.1/things", "/v2.1/nothing", "/v2.1/failures/bug"])
    async def test_every_answer_has_one_of_our_own(self, api: httpx.AsyncClient, path: str) -> None:
        sent = "req-11111111-2222-3333-4444-555555555555"
        answers = [await api.get(path, headers={"X-OpenStack-Request-Id": sent}) for _ in range(2)]
        ids = {answer.headers["x-openstack-request-id"] for answer in answers}
        assert len(ids) == 2
        assert sent not in ids
        assert all(REQUEST_ID.fullmatch(found) for found in ids)
        assert ids == {answer.headers["x-compute-request-id"] for answer in answers}

    async def test_a_global_id_is_logged_unless_it_is_none(
        self, api: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "renova")
        sent = "req-11111111-2222-3333-4444-555555555555"
        await api.get("/", headers={"X-OpenStack-Request-Id": sent})
        assert sent in caplog.text
        await api.get("/", headers={"X-OpenStack-Request-Id": "forged line"})
        assert "forged" not in caplog.text


class TestMicroversions:
    VARY = "OpenStack-API-Version, X-OpenStack-Nova-API-Version"

    @pytest.mark.parametrize(
        ("headers", "version"),
        [
            ({}, "2.1"),
            ({"OpenStack-API-Version": "compute 2.19"}, "2.19"),
            ({"OpenStack-API-Version": "placement 1.2, compute 2.19"}, "2.19"),
            ({"OpenStack-API-Version": "volume 3.0"}, "2.1"),
            ({"X-OpenStack-Nova-API-Version": "2.19"}, "2.19"),
            ({"X-OpenStack-Nova-API-Version": "2.18", "OpenStack-API-Version": "compute 2.19"}, "2.19"),
            ({"OpenStack-API-Version": "compute latest"}, str(MAXIMUM)),
            ({"X-OpenStack-Nova-API-Version": "latest"}, str(MAXIMUM)),
        ],
    )
    async def test_the_version_asked_for_is_answered(
        self, api: httpx.AsyncClient, headers: dict[str, str], version: str
    ) -> None:
        answer = await api.get("/v2.1/things", headers=headers)
        assert answer.status_code == 200
        assert answer.headers["openstack-api-version"] == f"compute {version}"
        assert answer.headers["x-openstack-nova-api-version"] == version
        assert answer.headers["vary"] == self.VARY

    @pytest.mark.parametrize("version", ["2.0", "2.9999", "3.0"])
    async def test_a_version_that_we_do_not_speak(self, api: httpx.AsyncClient, version: str) -> None:
        answer = await api.get("/v2.1/things", headers={"OpenStack-API-Version": f"compute {version}"})
        message = fault(answer, 406, "computeFault")
        assert message == (
            f"Version {version} is not supported by the API. Minimum is 2.1 and maximum is {MAXIMUM}."
        )
        assert answer.headers["vary"] == self.VARY

    @pytest.mark.parametrize("version", ["2", "2.01", "x", "2.1.1", "-2.1", "2.٣"])
    async def test_what_is_no_version(self, api: httpx.AsyncClient, version: str) -> None:
        answer = await api.get(
            "/v2.1/things", headers={b"OpenStack-API-Version": f"compute {version}".encode()}
        )
        assert "is of invalid format. Must be of format MajorNum.MinorNum." in fault(
            answer, 400, "badRequest"
        )

    async def test_an_error_says_the_version_too(self, api: httpx.AsyncClient) -> None:
        answer = await api.get("/v2.1/failures/busy", headers={"OpenStack-API-Version": "compute 2.19"})
        assert answer.status_code == 409
        assert answer.headers["openstack-api-version"] == "compute 2.19"

    async def test_v2_knows_nothing_of_them(self, api: httpx.AsyncClient) -> None:
        answer = await api.get("/v2/things", headers={"OpenStack-API-Version": "compute 9.9"})
        assert answer.status_code == 200
        assert not {"openstack-api-version", "x-openstack-nova-api-version", "vary"} & answer.headers.keys()

    async def test_a_call_that_the_version_lacks_is_not_found(self, api: httpx.AsyncClient) -> None:
        put = "/v2.1/things/1"
        fault(
            await api.put(put, json={}, headers={"OpenStack-API-Version": "compute 2.29"}),
            404,
            "itemNotFound",
        )
        answer = await api.put(put, json={}, headers={"OpenStack-API-Version": "compute 2.30"})
        assert answer.status_code == 200

    async def test_fields_come_and_go_with_the_version(self, api: httpx.AsyncClient) -> None:
        new = {"thing": {"name": "x"}}
        answer = await api.post("/v2.1/things", json=new)
        assert answer.json() == {"thing": {"name": "x", "old": 1}}
        answer = await api.post("/v2.1/things", json=new, headers={"OpenStack-API-Version": "compute 2.19"})
        assert answer.json() == {"thing": {"name": "x", "OS-EXT:colour": "none"}}


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
    async def test_malformed_json(self, api: httpx.AsyncClient, body: bytes) -> None:
        answer = await api.post("/v2.1/things", content=body, headers={"Content-Type": "application/json"})
        assert fault(answer, 400, "badRequest") == self.MALFORMED

    async def test_an_escaped_backslash_before_u0000_is_plain_text(self, api: httpx.AsyncClient) -> None:
        answer = await api.post("/v2.1/things", content=rb'{"thing": {"name": "a\\u0000b"}}')
        assert answer.json()["thing"]["name"] == r"a\u0000b"

    @pytest.mark.parametrize("body", [b"", b"[]", b'"text"', b"3", b"null"])
    async def test_a_body_that_is_no_object(self, api: httpx.AsyncClient, body: bytes) -> None:
        message = fault(await api.post("/v2.1/things", content=body), 400, "badRequest")
        value = repr(json.loads(body)) if body else "None"
        assert message == f"{value} is not of type 'object'"

    async def test_wrong_type_of_content(self, api: httpx.AsyncClient) -> None:
        answer = await api.post("/v2.1/things", content=b"<x/>", headers={"Content-Type": "application/xml"})
        assert fault(answer, 415, "badMediaType") == "Unsupported Content-Type"

    @pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "text/plain"])
    async def test_types_that_are_taken_for_json(self, api: httpx.AsyncClient, kind: str) -> None:
        body = json.dumps({"thing": {"name": "x"}}).encode()
        assert (
            await api.post("/v2.1/things", content=body, headers={"Content-Type": kind})
        ).status_code == 201

    async def test_too_large(self, api: httpx.AsyncClient) -> None:
        fault(await api.post("/v2.1/things", content=b" " * 1001), 413, "overLimit")

    async def test_too_large_without_a_length(self, api: httpx.AsyncClient) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(11):
                yield b" " * 100

        fault(await api.post("/v2.1/things", content=chunks()), 413, "overLimit")

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
        self, api: httpx.AsyncClient, body: Any, message: str
    ) -> None:
        assert fault(await api.post("/v2.1/things", json=body), 400, "badRequest") == message

    async def test_v2_drops_what_it_does_not_know_and_strips_names(self, api: httpx.AsyncClient) -> None:
        answer = await api.post("/v2/things", json={"thing": {"name": " x ", "colour": 3}, "more": 1})
        assert answer.json()["thing"]["name"] == "x"


class TestActions:
    async def test_an_action_is_chosen_by_the_body(self, api: httpx.AsyncClient) -> None:
        answer = await api.post("/v2.1/things/1/action", json={"paint": "red"})
        assert answer.status_code == 202
        assert answer.json() == {"painted": "red"}

    async def test_unknown_action(self, api: httpx.AsyncClient) -> None:
        answer = await api.post("/v2.1/things/1/action", json={"eat": {}})
        assert fault(answer, 400, "badRequest") == "There is no such action: eat"

    @pytest.mark.parametrize("body", [None, {}, [], {"paint": 1, "melt": 2}])
    async def test_not_one_action(self, api: httpx.AsyncClient, body: Any) -> None:
        answer = await api.post("/v2.1/things/1/action", json=body)
        assert fault(answer, 400, "badRequest") == "Malformed request body"

    async def test_an_action_that_the_version_lacks(self, api: httpx.AsyncClient) -> None:
        fault(await api.post("/v2.1/things/1/action", json={"melt": {}}), 404, "itemNotFound")


class TestFailures:
    async def test_errors_of_the_layers_below(self, api: httpx.AsyncClient) -> None:
        assert (
            fault(await api.get("/v2.1/failures/missing"), 404, "itemNotFound")
            == "Thing x could not be found."
        )
        assert fault(await api.get("/v2.1/failures/busy"), 409, "conflictingRequest") == "busy"

    @pytest.mark.parametrize("kind", ["glance", "database"])
    async def test_something_that_we_stand_on_is_away(self, api: httpx.AsyncClient, kind: str) -> None:
        answer = await api.get(f"/v2.1/failures/{kind}")
        assert "secret" not in fault(answer, 503, "serviceUnavailable")
        assert int(answer.headers["retry-after"]) > 0

    async def test_a_bug_is_logged_and_not_shown(
        self, api: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        answer = await api.get("/v2.1/failures/bug")
        message = fault(answer, 500, "computeFault")
        assert message.startswith("Unexpected API Error.")
        assert answer.headers["x-openstack-request-id"] in message
        assert "insides" not in answer.text
        assert "ZeroDivisionError" not in answer.text
        assert "a detail of our insides" in caplog.text


class TestPages:
    async def test_a_full_page_links_to_the_next(self, api: httpx.AsyncClient) -> None:
        answer = await api.get("/v2.1/things?limit=1&marker=z&sort_key=a&sort_key=b+c")
        assert answer.json() == {
            "things": ["a"],
            "things_links": [
                {
                    "rel": "next",
                    "href": "http://nova.example/v2.1/things?limit=1&sort_key=a&sort_key=b+c&marker=a",
                }
            ],
        }

    async def test_no_page_is_longer_than_the_operator_allows(self, api: httpx.AsyncClient) -> None:
        for limit in ("100", "9" * 5000):
            assert (await api.get(f"/v2.1/things?limit={limit}")).json()["things"] == ["a", "b"]

    async def test_no_rows_asked_for(self, api: httpx.AsyncClient) -> None:
        assert (await api.get("/v2.1/things?limit=0")).json() == {"things": []}

    @pytest.mark.parametrize("limit", ["-1", "x", "1.5"])
    async def test_a_limit_that_is_none(self, api: httpx.AsyncClient, limit: str) -> None:
        message = fault(await api.get(f"/v2.1/things?limit={limit}"), 400, "badRequest")
        assert message == (
            f"Invalid input for query parameters limit. Value: {limit}. '{limit}' does not match '^[0-9]*$'"
        )


async def test_extensions_are_a_frozen_list(tmp_path: Path, tokens: MadeUpTokens) -> None:
    async with api_client(configure(tmp_path), tokens) as api:
        api.headers.update(tokens.give("reader"))
        assert (await api.get("/v2.1/extensions")).json() == {"extensions": []}
        fault(await api.get("/v2.1/extensions/os-consoles"), 404, "itemNotFound")
