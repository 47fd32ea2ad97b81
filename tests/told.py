"""Holds an answer to the OpenAPI document of its microversion."""

import re
from functools import cache
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from renova.api.app import every_route
from renova.api.microversions import parse
from renova.api.openapi import document

_ROUTES = every_route()


class Told:
    """One document; it may be a wrong one."""

    def __init__(self, whole: dict[str, Any]) -> None:
        self._whole = whole
        self._paths = [
            (template.count("{"), re.compile(re.sub(r"\{\w+\}", "[^/]+", template)), methods)
            for template, methods in whole["paths"].items()
        ]

    def complaint(self, method: str, path: str, answer: httpx.Response) -> str | None:
        """What the document says differently. `path` begins after the project and has no query."""
        operation = self._operation(method, path)
        if operation is None:
            known = answer.status_code in {400, 401, 404, 405}
            return None if known else f"{method} {path} is in no path of the document"
        told = operation["responses"].get(str(answer.status_code))
        if told is None:
            return f"{method} {path}: {answer.status_code} is not told of"
        if "$ref" in told:
            told = self._whole["components"]["responses"][told["$ref"].rpartition("/")[2]]
        if "content" not in told:
            return f"{method} {path}: a body is not told of" if answer.content else None
        if not answer.content:
            # Actions share a status: some of them have a body, and some have none.
            return None if path.endswith("/action") else f"{method} {path}: there is no body"
        schema = told["content"]["application/json"]["schema"] | {"components": self._whole["components"]}
        for error in Draft202012Validator(schema).iter_errors(answer.json()):
            return f"{method} {path}: {error.json_path}: {error.message}"
        return None

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        found = [(parts, methods) for parts, template, methods in self._paths if template.fullmatch(path)]
        methods = min(found, key=lambda match: match[0])[1] if found else {}
        operation: dict[str, Any] | None = methods.get(method.lower())
        return operation


@cache
def at(version: str) -> Told:
    """The document that we serve."""
    return Told(document(_ROUTES, parse(version)))
