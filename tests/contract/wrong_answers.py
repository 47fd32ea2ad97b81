"""Every way for an answer to be wrong in one place."""

from collections.abc import Iterator
from typing import Any

from tests.contract.forms import Schema

# One of each of JSON's types. A number with a fraction is no integer either.
_EVERY_TYPE: tuple[Any, ...] = (None, True, 0.5, "", [], {})


def wrong_answers(schema: Schema, right: Any) -> Iterator[Any]:
    """Values that differ from `right` in one place, however deep: another type, a member more, a member less.

    `schema` says no more than where null is allowed, and whose keys are anybody's choice.
    """
    yield from _wrong_types(schema, right)
    if isinstance(right, dict):
        yield from _wrong_names(schema, right)
        for name, value in right.items():
            member = schema.get("properties", {}).get(name, schema["additionalProperties"])
            for wrong in wrong_answers(member, value):
                yield right | {name: wrong}
    if isinstance(right, list):
        yield from _wrong_arrays(schema, right)


def wrong_members(schema: Schema, right: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Objects that are wrong at their top: a member more, each member missing, each of another type."""
    yield from _wrong_names(schema, right)
    for name, value in right.items():
        yield right | {name: next(_wrong_types(schema["properties"][name], value))}


def _wrong_types(schema: Schema, right: Any) -> Iterator[Any]:
    nullable = isinstance(schema["type"], list)
    for other in _EVERY_TYPE:
        if _json_type(other) != _json_type(right) and not (nullable and other is None):
            yield other


def _wrong_names(schema: Schema, right: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if schema["additionalProperties"] is not False:
        return
    yield right | {"unexpected": next(iter(right.values()))}
    for name in right:
        yield {key: value for key, value in right.items() if key != name}


def _wrong_arrays(schema: Schema, right: list[Any]) -> Iterator[Any]:
    if "prefixItems" in schema:
        yield right[:-1]
        yield [*right, right[0]]
    for index, value in enumerate(right):
        for wrong in wrong_answers(schema.get("prefixItems", [schema["items"]] * len(right))[index], value):
            yield [*right[:index], wrong, *right[index + 1 :]]


def _json_type(value: Any) -> str:
    names = {"NoneType": "null", "bool": "boolean", "int": "integer", "float": "number", "str": "string"}
    return names.get(type(value).__name__, type(value).__name__)
