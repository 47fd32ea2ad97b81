"""The OpenAPI document of each microversion: whole, true to the handlers, and served to anybody."""

import ast
import inspect
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from renova.api.app import every_route
from renova.api.microversions import MAXIMUM, MINIMUM, Version
from renova.api.openapi import document
from renova.api.requests import Route
from tests.api_client import MadeUpTokens, api_client, configure


@cache
def told(minor: int) -> dict[str, Any]:
    return document(every_route(), Version(2, minor))


def fields(minor: int, model: str) -> set[str]:
    return set(told(minor)["components"]["schemas"][model]["properties"])


def every_object(part: Any) -> list[dict[str, Any]]:
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return [
        *([part] if isinstance(part, dict) else ()),
        *(found for one in inner for found in every_object(one)),
    ]


@pytest.mark.parametrize("version", [MINIMUM, Version(2, 57), MAXIMUM], ids=str)
def test_every_part_is_there_and_every_schema_is_one(version: Version) -> None:
    whole = told(version.minor)
    for reference in (part["$ref"] for part in every_object(whole) if isinstance(part.get("$ref"), str)):
        part = whole
        for step in reference.removeprefix("#/").split("/"):
            part = part[step]
    for part in every_object(whole):
        if isinstance(part.get("schema"), dict):
            Draft202012Validator.check_schema(part["schema"])
    for schema in whole["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    operations = [operation for methods in whole["paths"].values() for operation in methods.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)


def test_calls_and_fields_come_and_go_with_the_version() -> None:
    assert "/servers/{server_id}/tags" not in told(25)["paths"]
    assert "/servers/{server_id}/tags" in told(26)["paths"]
    assert "/images" in told(35)["paths"]
    assert "/images" not in told(36)["paths"]
    assert "personality" in fields(56, "Rebuild")
    assert fields(57, "Rebuild") >= {"user_data", "imageRef"}
    assert "personality" not in fields(57, "Rebuild")
    assert told(1)["components"]["schemas"]["FlavorView"]["properties"]["swap"] == {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "title": "Swap",
    }
    assert "networks" not in told(36)["components"]["schemas"]["NewServer"]["required"]
    assert "networks" in told(37)["components"]["schemas"]["NewServer"]["required"]


def routes() -> list[Route]:
    table = every_route()
    return [
        route
        for paths in (table.by_path, table.actions)
        for named in paths.values()
        for route in named.values()
    ]


@pytest.mark.parametrize(
    "route", routes(), ids=lambda route: f"{route.handler.__module__}.{route.handler.__name__}"
)
def test_a_route_declares_the_body_that_its_handler_parses(route: Route) -> None:
    source = textwrap.dedent(inspect.getsource(route.handler))
    parsed = [
        ast.unparse(node.args[0])
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "call.parse"
    ]
    # The rebuild's model is chosen by the operator's profile; the document tells of Nova's.
    chosen = {"BY_PROFILE[profile]": "RebuildServer", "PLAN_BY_PROFILE[profile]": "PlanRebuildServer"}
    assert [chosen.get(name, name) for name in parsed] == ([route.body.__name__] if route.body else [])


async def test_anybody_may_read_it(tmp_path: Path) -> None:
    async with api_client(configure(tmp_path), MadeUpTokens()) as api:
        newest = await api.get("/openapi.json")
        assert newest.status_code == 200
        assert newest.json()["info"]["version"] == str(MAXIMUM)
        assert newest.json()["openapi"] == "3.1.0"
        older = await api.get("/openapi.json", params={"version": "2.57"})
        assert older.json()["info"]["version"] == "2.57"
        assert older.headers["content-type"] == "application/json"
        for wrong, status in {"": 400, "two": 400, "2.57,2.1": 400, "2.999": 406, "3.0": 406}.items():
            assert (await api.get("/openapi.json", params={"version": wrong})).status_code == status
        assert (await api.post("/openapi.json")).status_code == 405
