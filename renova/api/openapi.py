"""`GET /openapi.json?version=2.57`: the API of one microversion as an OpenAPI 3.1 document.

Made from what is declared where it is served: the routes with their spans, the models of bodies, queries and
answers, the names of Nova's errors. A route that declares no answer is said to answer an object. What a
validator of Python checks beyond a model's types (that a flavor's extra spec has a known key) is not told.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, ClassVar

from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema

from renova.api.errors import FAULT_NAMES
from renova.api.marked import Marked, Request, View
from renova.api.microversions import MAXIMUM, Version
from renova.api.requests import Route, Routes

Schema = dict[str, Any]


class _AtOneVersion(GenerateJsonSchema):
    """Schemas of marked models with the fields that `version` has. In a view any field may be absent."""

    version: ClassVar[Version] = MAXIMUM

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._models: list[type[Marked]] = []  # Those that are being told of, the innermost last.

    def model_schema(self, schema: core_schema.ModelSchema) -> Schema:
        self._models.append(schema["cls"])
        try:
            return super().model_schema(schema)
        finally:
            self._models.pop()

    def model_fields_schema(self, schema: core_schema.ModelFieldsSchema) -> Schema:
        model = self._models[-1]
        attributes = set(model.fields_at(self.version).values())
        fields = {name: field for name, field in schema["fields"].items() if name in attributes}
        told = super().model_fields_schema({**schema, "fields": fields})
        told.pop("required", None)
        if issubclass(model, Request) and (required := model.required_at(self.version)):
            told["required"] = sorted(required)
        return told

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Schema:
        """None as a default only says that the client sent nothing, often where it may not send null."""
        if schema.get("default") is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


@lru_cache(maxsize=8)
def document(routes: Routes, version: Version) -> Schema:
    """The whole document. Its paths begin after `/v2.1`; the project in them is left out, as clients may."""
    served = [*_served(routes, version)]
    references, definitions = models_json_schema(
        [(model, "validation") for model in sorted(_models(served), key=lambda model: model.__name__)],
        ref_template="#/components/schemas/{model}",
        schema_generator=type("AtOneVersion", (_AtOneVersion,), {"version": version}),
    )
    schemas: dict[Any, Schema] = {model: told for (model, _), told in references.items()}
    parts: Schema = definitions.get("$defs", {})
    paths: dict[str, Schema] = {}
    for path, method, named in served:
        paths.setdefault(path, {})[method.lower()] = _operation(path, method, named, schemas, parts)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Renova, the Compute API", "version": str(version)},
        "servers": [{"url": "/v2.1"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": {**parts, **_faults()},
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
            "parameters": {
                "Microversion": {
                    "name": "OpenStack-API-Version",
                    "in": "header",
                    "required": True,
                    "schema": {"const": f"compute {version}"},
                }
            },
            "responses": {name: _json(_reference(name), name) for name in _faults()},
        },
    }


def _served(routes: Routes, version: Version) -> Iterator[tuple[str, str, dict[str, Route]]]:
    """Path, method and, by the names of its actions ("" where it has none), the routes that serve it."""
    for path, methods in routes.by_path.items():
        for method, route in methods.items():
            if version in route.versions:
                yield path, method, {"": route}
    for path, actions in routes.actions.items():
        if served := {name: route for name, route in actions.items() if version in route.versions}:
            yield path, "POST", served


def _models(served: list[tuple[str, str, dict[str, Route]]]) -> set[type[Marked]]:
    models: set[type[Marked]] = set()
    for _, _, named in served:
        for route in named.values():
            models |= {route.query, *([route.body] if route.body else ()), *_views(route.answer)}
    return models


def _views(answer: Any) -> Iterator[type[View]]:
    if isinstance(answer, Mapping):
        answer = [*answer.values()]
    if isinstance(answer, list):
        for part in answer:
            yield from _views(part)
    elif answer is not None:
        yield answer


def _operation(
    path: str, method: str, named: dict[str, Route], schemas: dict[Any, Schema], parts: Schema
) -> Schema:
    """One method of a path; several actions of one path are the alternatives of its body and its answer."""
    parameters: list[Schema] = [{"$ref": "#/components/parameters/Microversion"}]
    parameters += [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"\{(\w+)\}", path)
    ]
    routes = [*named.values()]
    for route in routes:
        query = parts[schemas[route.query]["$ref"].rpartition("/")[2]]
        required = query.get("required", ())
        parameters += [
            {"name": name, "in": "query", "required": name in required, "schema": told}
            for name, told in query.get("properties", {}).items()
        ]
    answers = [_shape(route.answer, schemas) for route in routes]
    told: Schema = {
        "operationId": f"{method} {path}",
        "parameters": parameters,
        "responses": {
            "2XX": _json(_either(answers), "Done, or begun. Without a body where there is nothing to tell."),
            **{str(code): {"$ref": f"#/components/responses/{name}"} for code, name in _codes().items()},
        },
    }
    bodies = [schemas[route.body] for route in routes if route.body]
    if bodies:
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": _either(bodies)}}}
    return told


def _shape(answer: Any, schemas: dict[Any, Schema]) -> Schema:
    """What `answer=` of a route says, as a schema: {"servers": [ServerEntry]} is an object with a list."""
    if answer is None:
        return {"type": "object"}
    if isinstance(answer, Mapping):
        parts = {name: _shape(part, schemas) for name, part in answer.items()}
        return {"type": "object", "properties": parts, "required": sorted(parts)}
    if isinstance(answer, list):
        return {"type": "array", "items": _shape(answer[0], schemas)}
    return schemas[answer]


def _either(alternatives: list[Schema]) -> Schema:
    different = [told for index, told in enumerate(alternatives) if told not in alternatives[:index]]
    return different[0] if len(different) == 1 else {"anyOf": different}


def _codes() -> dict[int, str]:
    """Every status of an error that a call may answer, and the name of its envelope."""
    return {**FAULT_NAMES, 401: "error", 406: "computeFault"}


def _faults() -> dict[str, Schema]:
    """The envelopes. That of a token which is refused is of Keystone's own, and has a title besides."""
    return {
        name: {
            "type": "object",
            "required": [name],
            "properties": {
                name: {
                    "type": "object",
                    "required": ["code", "message"],
                    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
                }
            },
        }
        for name in _codes().values()
    }


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Schema, description: str) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
