"""Whatever the OpenAPI document of a microversion allows is answered as it says, never with a 500."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from renova.api.microversions import MAXIMUM
from tests.fake_glance import CALLER
from tests.functional.api_without_agent import Api, api_without_agent

EXAMPLES = 6  # Of each operation.


@pytest.fixture
async def api(tmp_path: Path, database: str) -> AsyncIterator[Api]:
    async with api_without_agent(database, tmp_path) as api:
        yield api


@pytest.mark.parametrize("version", ["2.1", "2.57", str(MAXIMUM)])
async def test_no_answer_is_outside_the_document(api: Api, version: str) -> None:
    document = (await api.http.get("/openapi.json", params={"version": version})).json()
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
            settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )(given(operation.as_strategy())(check))()

    await asyncio.to_thread(try_everything)
    assert seen.keys() >= {200, 202, 400, 404}
