"""Whatever the OpenAPI document of a microversion allows is answered as it says, never with a 500."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from renova.api.microversions import MAXIMUM
from tests.fake_glance import CALLER
from tests.functional.api_without_agent import Api, api_without_agent
from tests.told import Told

EXAMPLES = 6  # Of each operation.


@pytest.fixture
async def api(tmp_path: Path, database: str) -> AsyncIterator[Api]:
    async with api_without_agent(database, tmp_path) as api:
        yield api


# No agent answers here; `test_api_ssh_host_keys` has one.
NEED_AN_AGENT = {"GET /servers/{server_id}/ssh-host-keys"}


async def hold(api: Api, document: dict[str, Any], *, only: str = "") -> Counter[int]:
    """Try what the document allows, and hold what is answered to it. Returns how often each status came.

    `only` is the one operation to try: "GET /servers/{server_id}".
    """
    server = await api.new()
    admin = api.tokens.give("admin", user_id=CALLER)  # Whom the fake Glance knows.
    loop = asyncio.get_running_loop()
    seen: Counter[int] = Counter()

    def send(case: schemathesis.Case[Any]) -> httpx.Response:
        asked = case.as_transport_kwargs(base_url="http://nova.example/v2.1", headers=admin)
        sent = api.http.request(
            asked["method"],
            asked["url"],
            params=asked.get("params"),
            headers=dict(asked["headers"]),
            json=asked.get("json"),
        )
        return asyncio.run_coroutine_threadsafe(sent, loop).result()

    def check(case: schemathesis.Case[Any]) -> None:
        if "server_id" in case.path_parameters:
            case.path_parameters["server_id"] = server
        answer = send(case)
        seen[answer.status_code] += 1
        assert answer.status_code < 500, (case.method, answer.request.url, case.body, answer.text)
        case.validate_response(answer, checks=[status_code_conformance])
        if answer.content:
            case.validate_response(answer, checks=[response_schema_conformance])

    def try_everything() -> None:
        read = [*schemathesis.openapi.from_dict(document).get_all_operations()]
        operations = [found.ok() for found in read if isinstance(found, Ok)]
        assert len(operations) == len(read)
        # What deletes comes last, so that the others have something to find.
        for operation in sorted(operations, key=lambda operation: operation.method.upper() == "DELETE"):
            if only not in {"", operation.label} or operation.label in NEED_AN_AGENT:
                continue
            settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )(given(operation.as_strategy())(check))()

    await asyncio.to_thread(try_everything)
    return seen


async def document_of(api: Api, version: str) -> dict[str, Any]:
    document: dict[str, Any] = (await api.http.get("/openapi.json", params={"version": version})).json()
    return document


@pytest.mark.parametrize("version", ["2.1", "2.57", str(MAXIMUM)])
async def test_no_answer_is_outside_the_document(api: Api, version: str) -> None:
    seen = await hold(api, await document_of(api, version))
    assert seen.keys() >= {200, 202, 400, 404}


SHOW = "GET /servers/{server_id}"


def server_in(document: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = document["components"]["schemas"]["ServerDetail"]
    return schema


def without_a_member(document: dict[str, Any]) -> None:
    del server_in(document)["properties"]["hostId"]
    server_in(document)["required"].remove("hostId")


def with_a_member_more(document: dict[str, Any]) -> None:
    server_in(document)["required"].append("nonesuch")


def with_another_type(document: dict[str, Any]) -> None:
    server_in(document)["properties"]["hostId"] = {"type": "integer"}


def with_another_status(document: dict[str, Any]) -> None:
    responses = document["paths"]["/servers/{server_id}"]["get"]["responses"]
    responses["202"] = responses.pop("200")


MISTAKES = [without_a_member, with_a_member_more, with_another_type, with_another_status]


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_wrong_document_is_found_out(api: Api, mistake: Callable[[dict[str, Any]], None]) -> None:
    """By schemathesis, and by what holds the answers of all other tests to the document (tests/told.py)."""
    right, wrong = await document_of(api, "2.57"), await document_of(api, "2.57")
    mistake(wrong)
    assert (await hold(api, right, only=SHOW)).keys() == {200}
    with pytest.raises(FailureGroup):
        await hold(api, wrong, only=SHOW)
    server_id = await api.new()
    answer = await api.call("GET", f"/servers/{server_id}", version="2.57")
    assert Told(right).complaint("GET", f"/servers/{server_id}", answer) is None
    assert Told(wrong).complaint("GET", f"/servers/{server_id}", answer)


async def test_a_body_that_is_not_told_of_is_found_out(api: Api) -> None:
    document = await document_of(api, "2.57")
    path = f"/servers/{await api.new()}/os-instance-actions"
    answer = await api.call("GET", path, version="2.57")
    del document["paths"]["/servers/{server_id}/os-instance-actions"]["get"]["responses"]["200"]["content"]
    assert Told(document).complaint("GET", path, answer)
