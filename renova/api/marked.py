"""Models whose fields know their microversions: `Request` for what a client sends, `View` for what it sees.

A field's name in JSON is its alias, or its own name. Two fields may share an alias as long as no microversion
has both and neither is called by it in Python: that is how a field changes its type (`flavor` at 2.47).
Neither kind is ever looked at without a version.
"""

from functools import cache
from typing import Any, ClassVar, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from renova.api.microversions import MAXIMUM, Span, Version


def span_of(metadata: list[Any]) -> Span:
    return next((mark for mark in metadata if isinstance(mark, Span)), Span())


class Marked(BaseModel):
    """A model that can say which of its fields a version has."""

    @classmethod
    @cache
    def fields_at(cls, version: Version) -> dict[str, str]:
        """Name in JSON -> attribute, of the fields that `version` has."""
        return {
            field.alias or attribute: attribute
            for attribute, field in cls.model_fields.items()
            if version in span_of(field.metadata)
        }

    @classmethod
    @cache
    def required_at(cls, version: Version) -> frozenset[str]:
        """Names in JSON of the fields that a client of `version` has to send."""
        names = set()
        for name, attribute in cls.fields_at(version).items():
            field = cls.model_fields[attribute]
            required_from = span_of(field.metadata).required_from
            if field.is_required() or (required_from is not None and version >= required_from):
                names.add(name)
        return frozenset(names)


class Request(Marked):
    """A body, or a part of one. Validate with `Model.parse(body, version)`.

    `legacy=True` is /v2, Nova's compatible mode: what is not known is dropped instead of refused.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True, strict=True)

    # Nova's schemas allow some objects to carry anything (os:scheduler_hints): `extra="allow"` keeps it.
    open_to_anything: ClassVar[bool] = False

    @model_validator(mode="before")
    @classmethod
    def _only_what_this_version_has(cls, body: Any, info: ValidationInfo) -> Any:
        if not isinstance(body, dict):
            return body  # Pydantic says that it should have been an object.
        context = info.context or {}
        fields = cls.fields_at(context.get("version", MAXIMUM))
        unknown = [name for name in body if name not in fields]
        if unknown and not context.get("legacy") and not cls.open_to_anything:
            raise PydanticCustomError("extra_forbidden", "{names}", {"names": unknown})
        missing = cls.required_at(context.get("version", MAXIMUM)) - body.keys()
        if missing:
            raise PydanticCustomError("missing", "{names}", {"names": sorted(missing)})
        return {
            fields.get(name, name): value
            for name, value in body.items()
            if name in fields or cls.open_to_anything
        }

    @classmethod
    def parse(cls, body: Any, version: Version, *, legacy: bool = False) -> Self:
        """Raises pydantic.ValidationError; a handler calls `call.parse`, which makes it Nova's 400."""
        return cls.model_validate(body, context={"version": version, "legacy": legacy})

    @classmethod
    @cache
    def json_names(cls) -> dict[str, str]:
        """Attribute -> name in JSON, of this model and of every request in it."""
        names: dict[str, str] = {}
        for attribute, field in cls.model_fields.items():
            names[attribute] = field.alias or attribute
            for part in _requests_in(field.annotation):
                names |= part.json_names()
        return names

    def sent(self, attribute: str) -> bool:
        """Whether the client sent the field at all: null and absence differ (key_name, user_data)."""
        return attribute in self.model_fields_set


def _requests_in(annotation: Any) -> list[type[Request]]:
    if isinstance(annotation, type) and issubclass(annotation, Request):
        return [annotation]
    return [found for part in get_args(annotation) for found in _requests_in(part)]


class Query(Request):
    """The parameters of a GET. Before `closed_since` those that are not known are ignored, as Nova does.

    A parameter that is a list may be sent several times; of any other the last one counts.
    """

    closed_since: ClassVar[Version] = Version(2, 75)

    @classmethod
    def values(cls, items: list[tuple[str, str]], version: Version) -> dict[str, Any]:
        """What a query string says, by parameter."""
        values: dict[str, Any] = {}
        fields = cls.fields_at(version)
        for name, value in items:
            if name in fields and get_origin(cls.model_fields[fields[name]].annotation) is list:
                values.setdefault(name, []).append(value)
            else:
                values[name] = value
        return values

    @classmethod
    def read(cls, items: list[tuple[str, str]], version: Version) -> Self:
        """Raises pydantic.ValidationError."""
        return cls.parse(cls.values(items, version), version, legacy=version < cls.closed_since)


class View(Marked):
    """What a client sees. Built with every field that it could have; `at(version)` leaves out the others.

    A field that was not set when the view was built is left out at every version.
    """

    model_config = ConfigDict(populate_by_name=True, arbitrary_types_allowed=True)

    def at(self, version: Version) -> dict[str, Any]:
        return {
            name: rendered(getattr(self, attribute), version)
            for name, attribute in self.fields_at(version).items()
            if attribute in self.model_fields_set
        }


def rendered(value: Any, version: Version) -> Any:
    """`value` with every view in it as `version` has it."""
    if isinstance(value, View):
        return value.at(version)
    if isinstance(value, list):
        return [rendered(item, version) for item in value]
    if isinstance(value, dict):
        return {name: rendered(item, version) for name, item in value.items()}
    return value
