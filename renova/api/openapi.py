"""`GET /openapi.json?version=2.57`: the API of one microversion as an OpenAPI 3.1 document.

Made from what is declared where it is served: the routes with their spans and statuses, the models of bodies,
queries and answers, the names of Nova's errors. Answers are told as that version has them, and closed: no
member more or less. What a validator of Python checks beyond a model's types (that the extra spec of a flavor
has a known key) is not told.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from http import HTTPStatus
from typing import Any, ClassVar

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from renova.api.errors import FAULT_NAMES
from renova.api.forms import Changed, Form, OneOf, Sometimes
from renova.api.marked import Marked, View
from renova.api.microversions import MAXIMUM, Version
from renova.api.requests import Route, Routes

Schema = dict[str, Any]


class _AtOneVersion(GenerateJsonSchema):
    """Schemas of marked models with the fields that `version` has.

    A view has no other members; one of its fields is absent only where it has a default.
    """

    version: ClassVar[Version] = MAXIMUM

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._models: list[type[Marked]] = []  # Those that are being told of, the innermost last.

    def model_schema(self, schema: core_schema.ModelSchema) -> Schema:
        self._models.append(schema["cls"])
        try:
            told = super().model_schema(schema)
        finally:
            self._models.pop()
        if issubclass(schema["cls"], View):
            told["additionalProperties"] = False
        return told

    def model_fields_schema(self, schema: core_schema.ModelFieldsSchema) -> Schema:
        model = self._models[-1]
        attributes = set(model.fields_at(self.version).values())
        fields = {name: field for name, field in schema["fields"].items() if name in attributes}
        told = super().model_fields_schema({**schema, "fields": fields})
        told.pop("required", None)
        if required := model.required_at(self.version):
            told["required"] = sorted(required)
        return told

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Schema:
        """None as a default only says that the client sent nothing, often where it may not send null.

        In an answer a default stands for a field that is not there.
        """
        if schema.get("default") is None or issubclass(self._models[-1], View):
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


@lru_cache(maxsize=8)
def document(routes: Routes, version: Version) -> Schema:
    """The whole document. Its paths begin after `/v2.1`; the project in them is left out, as clients may."""
    served = [*_served(routes, version)]
    references, definitions = TypeAdapter.json_schemas(
        [(leaf, "validation", _adapter(leaf)) for leaf in sorted(_leaves(served, version), key=repr)],
        ref_template="#/components/schemas/{model}",
        schema_generator=type("AtOneVersion", (_AtOneVersion,), {"version": version}),
    )
    schemas: dict[Any, Schema] = {leaf: told for (leaf, _), told in references.items()}
    parts: Schema = definitions.get("$defs", {})
    paths: dict[str, Schema] = {}
    for path, method, named in served:
        paths.setdefault(path, {})[method.lower()] = _operation(
            path, method, [*named.values()], version, schemas, parts
        )
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


def _leaves(served: list[tuple[str, str, dict[str, Route]]], version: Version) -> set[Any]:
    """The models and types of which all bodies, queries and answers consist."""
    leaves: set[Any] = set()
    for _, _, named in served:
        for route in named.values():
            leaves |= {route.query, *([route.body] if route.body else ()), *_leaves_of(route.answer, version)}
    return leaves


def _leaves_of(form: Form, version: Version) -> Iterator[Any]:
    match form:
        case None:
            return
        case Changed():
            yield from _leaves_of(form.at(version), version)
        case Sometimes():
            yield from _leaves_of(form.form, version)
        case OneOf():
            yield from (leaf for part in form.forms for leaf in _leaves_of(part, version))
        case list():
            yield from (leaf for part in form for leaf in _leaves_of(part, version))
        case Mapping():
            yield from (leaf for part in form.values() for leaf in _leaves_of(part, version))
        case _:
            yield form


@cache
def _adapter(leaf: Any) -> TypeAdapter[Any]:
    return TypeAdapter(leaf)


def _operation(
    path: str,
    method: str,
    routes: list[Route],
    version: Version,
    schemas: dict[Any, Schema],
    parts: Schema,
) -> Schema:
    """One method of a path; several actions of one path are the alternatives of its body and its answer."""
    parameters: list[Schema] = [{"$ref": "#/components/parameters/Microversion"}]
    parameters += [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"\{(\w+)\}", path)
    ]
    for route in routes:
        query = parts[schemas[route.query]["$ref"].rpartition("/")[2]]
        required = query.get("required", ())
        parameters += [
            {"name": name, "in": "query", "required": name in required, "schema": told}
            for name, told in query.get("properties", {}).items()
        ]
    told: Schema = {
        "operationId": f"{method} {path}",
        "parameters": parameters,
        "responses": {
            **_successes(routes, version, schemas),
            **{str(code): {"$ref": f"#/components/responses/{name}"} for code, name in _codes().items()},
        },
    }
    bodies = [schemas[route.body] for route in routes if route.body]
    if bodies:
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": _either(bodies)}}}
    return told


def _successes(routes: list[Route], version: Version, schemas: dict[Any, Schema]) -> Schema:
    """By status, what is answered in the end. Several actions may share one."""
    answers: dict[int, list[Schema | None]] = {}
    for route in routes:
        for status in route.statuses_at(version):
            answers.setdefault(status, []).append(_shape(route.answer, version, schemas))
    responses: Schema = {}
    for status, shapes in sorted(answers.items()):
        told = [shape for shape in shapes if shape is not None]
        description = "Begun." if status == HTTPStatus.ACCEPTED else "Done."
        if told and len(told) < len(shapes):
            description += " Some of the actions have no body in their answer."
        responses[str(status)] = _json(_either(told), description) if told else {"description": description}
    return responses


def _shape(form: Form, version: Version, schemas: dict[Any, Schema]) -> Schema | None:
    """A form as a schema; None is no body."""
    match form:
        case None:
            return None
        case Changed():
            return _shape(form.at(version), version, schemas)
        case OneOf():
            return {"anyOf": [_shape(part, version, schemas) for part in form.forms]}
        case list():
            return {"type": "array", "items": _shape(form[0], version, schemas)}
        case Mapping():
            members = {
                name: part.form if isinstance(part, Sometimes) else part for name, part in form.items()
            }
            return {
                "type": "object",
                "properties": {name: _shape(part, version, schemas) for name, part in members.items()},
                "required": sorted(name for name, part in form.items() if not isinstance(part, Sometimes)),
                "additionalProperties": False,
            }
        case _:
            return schemas[form]


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
