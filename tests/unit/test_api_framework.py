"""What every call has in common: paths, tokens, request ids, microversions, pages."""

import logging
import re
from pathlib import Path

import httpx
import pytest

from renova.api.microversions import MAXIMUM
from tests.api_client import PROJECT, MadeUpTokens, api_client, configure
from tests.unit.things_api import fault

REQUEST_ID = re.compile(r"req-[0-9a-f-]{36}")


class TestPaths:
    @pytest.mark.parametrize("prefix", ["/v2.1", f"/v2.1/{PROJECT}", "/v2", f"/v2/{PROJECT}"])
    async def test_each_form_of_path_is_served_and_links_lead_back_to_it(
        self, things: httpx.AsyncClient, prefix: str
    ) -> None:
        answer = await things.get(f"{prefix}/things/1")
        assert answer.status_code == 200
        bookmark = prefix.replace("/v2.1", "").replace("/v2", "")
        assert answer.json()["links"] == [
            {"rel": "self", "href": f"http://nova.example{prefix}/things/1"},
            {"rel": "bookmark", "href": f"http://nova.example{bookmark}/things/1"},
        ]

    async def test_another_project_in_the_path(self, things: httpx.AsyncClient) -> None:
        message = fault(await things.get("/v2.1/abc123/things"), 400, "badRequest")
        assert message == (
            f"Malformed request URL: URL's project_id 'abc123' doesn't match Context's project_id '{PROJECT}'"
        )

    async def test_a_fixed_word_wins_over_an_id(self, things: httpx.AsyncClient) -> None:
        assert (await things.get("/v2.1/things/special")).json() == {"special": True}

    @pytest.mark.parametrize(
        "path", ["/v2.1/nothing", "/v2.1/things/1/2", f"/v2.1/{PROJECT}", "/v2.1/things/"]
    )
    async def test_unknown_path(self, things: httpx.AsyncClient, path: str) -> None:
        assert fault(await things.get(path), 404, "itemNotFound") == "The resource could not be found."

    async def test_a_name_that_no_database_can_hold_is_not_found(self, things: httpx.AsyncClient) -> None:
        fault(await things.get("/v2.1/things/a%00b"), 404, "itemNotFound")

    async def test_wrong_method_names_the_right_ones(self, things: httpx.AsyncClient) -> None:
        answer = await things.put("/v2.1/things")
        fault(answer, 405, "badMethod")
        assert answer.headers["allow"] == "GET, HEAD, POST"
        answer = await things.get("/v2.1/things/1/action")
        fault(answer, 405, "badMethod")
        assert answer.headers["allow"] == "POST"

    async def test_a_method_that_nobody_knows(self, things: httpx.AsyncClient) -> None:
        fault(await things.request("FROB", "/v2.1/things"), 405, "badMethod")

    async def test_head_is_a_get_without_its_body(self, things: httpx.AsyncClient) -> None:
        got, head = await things.get("/v2.1/things/1"), await things.head("/v2.1/things/1")
        assert head.status_code == 200
        assert head.content == b""
        assert head.headers["content-length"] == got.headers["content-length"]


class TestTokens:
    async def test_no_token(self, things: httpx.AsyncClient) -> None:
        del things.headers["X-Auth-Token"]
        answer = await things.get("/v2.1/things")
        assert answer.status_code == 401
        assert answer.json() == {
            "error": {
                "code": 401,
                "title": "Unauthorized",
                "message": "The request you have made requires authentication.",
            }
        }
        assert answer.headers["www-authenticate"] == 'Keystone uri="http://keystone.example/v3"'

    async def test_a_path_is_not_told_without_a_token(self, things: httpx.AsyncClient) -> None:
        answer = await things.get("/v2.1/nothing", headers={"X-Auth-Token": "stale"})
        assert answer.status_code == 401

    async def test_what_policy_forbids(self, things: httpx.AsyncClient, tokens: MadeUpTokens) -> None:
        answer = await things.delete("/v2.1/things/1", headers=tokens.give("reader"))
        message = fault(answer, 403, "forbidden")
        assert message == "Policy doesn't allow os_compute_api:servers:delete to be performed."
        assert (await things.delete("/v2.1/things/1")).status_code == 204


class TestRequestIds:
    @pytest.mark.parametrize("path", ["/", "/v2.1/", "/v2.1/things", "/v2.1/nothing", "/v2.1/failures/bug"])
    async def test_every_answer_has_one_of_our_own(self, things: httpx.AsyncClient, path: str) -> None:
        sent = "req-11111111-2222-3333-4444-555555555555"
        answers = [await things.get(path, headers={"X-OpenStack-Request-Id": sent}) for _ in range(2)]
        ids = {answer.headers["x-openstack-request-id"] for answer in answers}
        assert len(ids) == 2
        assert sent not in ids
        assert all(REQUEST_ID.fullmatch(found) for found in ids)
        assert ids == {answer.headers["x-compute-request-id"] for answer in answers}

    async def test_a_global_id_is_logged_unless_it_is_none(
        self, things: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "renova")
        sent = "req-11111111-2222-3333-4444-555555555555"
        await things.get("/", headers={"X-OpenStack-Request-Id": sent})
        assert sent in caplog.text
        await things.get("/", headers={"X-OpenStack-Request-Id": "forged line"})
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
        self, things: httpx.AsyncClient, headers: dict[str, str], version: str
    ) -> None:
        answer = await things.get("/v2.1/things", headers=headers)
        assert answer.status_code == 200
        assert answer.headers["openstack-api-version"] == f"compute {version}"
        assert answer.headers["x-openstack-nova-api-version"] == version
        assert answer.headers["vary"] == self.VARY

    @pytest.mark.parametrize("version", ["2.0", "2.9999", "3.0"])
    async def test_a_version_that_we_do_not_speak(self, things: httpx.AsyncClient, version: str) -> None:
        answer = await things.get("/v2.1/things", headers={"OpenStack-API-Version": f"compute {version}"})
        message = fault(answer, 406, "computeFault")
        assert message == (
            f"Version {version} is not supported by the API. Minimum is 2.1 and maximum is {MAXIMUM}."
        )
        assert answer.headers["vary"] == self.VARY

    @pytest.mark.parametrize("version", ["2", "2.01", "x", "2.1.1", "-2.1", "2.٣"])
    async def test_what_is_no_version(self, things: httpx.AsyncClient, version: str) -> None:
        answer = await things.get(
            "/v2.1/things", headers={b"OpenStack-API-Version": f"compute {version}".encode()}
        )
        assert "is of invalid format. Must be of format MajorNum.MinorNum." in fault(
            answer, 400, "badRequest"
        )

    async def test_an_error_says_the_version_too(self, things: httpx.AsyncClient) -> None:
        answer = await things.get("/v2.1/failures/busy", headers={"OpenStack-API-Version": "compute 2.19"})
        assert answer.status_code == 409
        assert answer.headers["openstack-api-version"] == "compute 2.19"

    async def test_v2_knows_nothing_of_them(self, things: httpx.AsyncClient) -> None:
        answer = await things.get("/v2/things", headers={"OpenStack-API-Version": "compute 9.9"})
        assert answer.status_code == 200
        assert not {"openstack-api-version", "x-openstack-nova-api-version", "vary"} & answer.headers.keys()

    async def test_a_call_that_the_version_lacks_is_not_found(self, things: httpx.AsyncClient) -> None:
        put = "/v2.1/things/1"
        fault(
            await things.put(put, json={}, headers={"OpenStack-API-Version": "compute 2.29"}),
            404,
            "itemNotFound",
        )
        answer = await things.put(put, json={}, headers={"OpenStack-API-Version": "compute 2.30"})
        assert answer.status_code == 200

    async def test_fields_come_and_go_with_the_version(self, things: httpx.AsyncClient) -> None:
        new = {"thing": {"name": "x"}}
        answer = await things.post("/v2.1/things", json=new)
        assert answer.json() == {"thing": {"name": "x", "old": 1}}
        answer = await things.post(
            "/v2.1/things", json=new, headers={"OpenStack-API-Version": "compute 2.19"}
        )
        assert answer.json() == {"thing": {"name": "x", "OS-EXT:colour": "none"}}


class TestPages:
    async def test_a_full_page_links_to_the_next(self, things: httpx.AsyncClient) -> None:
        answer = await things.get("/v2.1/things?limit=1&marker=z&sort_key=a&sort_key=b+c")
        assert answer.json() == {
            "things": ["a"],
            "things_links": [
                {
                    "rel": "next",
                    "href": "http://nova.example/v2.1/things?limit=1&sort_key=a&sort_key=b+c&marker=a",
                }
            ],
        }

    async def test_no_page_is_longer_than_the_operator_allows(self, things: httpx.AsyncClient) -> None:
        for limit in ("100", "9" * 5000):
            assert (await things.get(f"/v2.1/things?limit={limit}")).json()["things"] == ["a", "b"]

    async def test_no_rows_asked_for(self, things: httpx.AsyncClient) -> None:
        assert (await things.get("/v2.1/things?limit=0")).json() == {"things": []}

    @pytest.mark.parametrize("limit", ["-1", "x", "1.5"])
    async def test_a_limit_that_is_none(self, things: httpx.AsyncClient, limit: str) -> None:
        message = fault(await things.get(f"/v2.1/things?limit={limit}"), 400, "badRequest")
        assert message == (
            f"Invalid input for query parameters limit. Value: {limit}. '{limit}' does not match '^[0-9]*$'"
        )


async def test_extensions_are_a_frozen_list(tmp_path: Path, tokens: MadeUpTokens) -> None:
    async with api_client(configure(tmp_path), tokens) as api:
        api.headers.update(tokens.give("reader"))
        assert (await api.get("/v2.1/extensions")).json() == {"extensions": []}
        fault(await api.get("/v2.1/extensions/os-consoles"), 404, "itemNotFound")
