"""The OpenAPI document names the members of an answer about a server that Nova's reference does."""

from typing import Any

from renova.api.app import every_route
from renova.api.microversions import Version
from renova.api.openapi import document
from tests.contract.server_answers import ANSWERS, EDGES, STATES, VIEWERS, server_of

# By answer: the operation, its status.
TOLD = {
    "show": ("/servers/{server_id}", "get", "200"),
    "detail": ("/servers/detail", "get", "200"),
    "update": ("/servers/{server_id}", "put", "200"),
    "rebuild": ("/servers/{server_id}/action", "post", "202"),
}
# What the document allows and no answer has: it is among the host's attributes in every other answer.
LAX = {("rebuild", "OS-EXT-SRV-ATTR:user_data")}


def told_of(answer: str, whole: dict[str, Any]) -> dict[str, Any]:
    """The schema of a server in an answer."""
    path, method, status = TOLD[answer]
    schema = whole["paths"][path][method]["responses"][status]["content"]["application/json"]["schema"]
    forms = schema.get("anyOf", [schema])
    (found,) = [form for form in forms if {"server", "servers"} & form.get("properties", {}).keys()]
    server = found["properties"]["server" if "server" in found["properties"] else "servers"]
    reference: str = server.get("items", server)["$ref"]
    told: dict[str, Any] = whole["components"]["schemas"][reference.rpartition("/")[2]]
    return told


def test_members_and_which_of_them_are_always_there() -> None:
    for minor in EDGES:
        whole = document(every_route(), Version(2, minor))
        for answer in ANSWERS:
            told, place = told_of(answer, whole), f"{answer} at 2.{minor}"
            possible = {
                name for viewer in VIEWERS for name in server_of(answer, minor, viewer, STATES)["properties"]
            }
            lax = {name for of, name in LAX if of == answer}
            assert told["properties"].keys() - lax == possible, place
            assert {*told["required"]} == {*server_of(answer, minor, "member", ())["required"]}, place
            assert told["additionalProperties"] is False
