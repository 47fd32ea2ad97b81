"""Models whose fields know their microversions: `Request` for what a client sends, `View` for what it sees.

A field's name in JSON is its alias, or its own name. Two fields may share an alias as long as no microversion has both:
that is how a field changes its type (`flavor` at 2.47). Neither kind is ever looked at without a version.
"""

from functools import cache
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from renova.api.microversions import MAXIMUM, Span, Version


def _span_of(metadata: list[Any]) -> Span:
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
            if version in _span_of(field.metadata)
        }

    @classmethod
    @cache
    def required_at(cls, version: Version) -> frozenset[str]:
        """Names in JSON of the fields that a client of `version` has to send."""
        names = set()
        for name, attribute in cls.fields_at(version).items():
            field = cls.model_fields[attribute]
            required_from = _span_of(field.metadata).required_from
            if field.is_required() or (required_from is not None and version >= required_from):
                names.add(name)
        return frozenset(names)


class Request(Marked):
    """A body, or a part of one. Validate with `Model.parse(body, version)`.

    `legacy=True` is /v2, Nova's compatible mode: what is not known is dropped instead of refused.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True, strict=True)

    # Nova's schemas allow some objects to carry anything (os:scheduler_hints).
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
        return {fields[name]: value for name, value in body.items() if name in fields}

    @classmethod
    def parse(cls, body: Any, version: Version, *, legacy: bool = False) -> Self:
        """Raises pydantic.ValidationError, which the app turns into Nova's 400."""
        return cls.model_validate(body, context={"version": version, "legacy": legacy})

    def sent(self, attribute: str) -> bool:
        """Whether the client sent the field at all: null and absence differ (key_name, user_data)."""
        return attribute in self.model_fields_set


class View(Marked):
    """What a client sees. Built with every field that it could have; `at(version)` leaves out what it doesn't.

    A field that was not set when the view was built is left out at every version.
    """

    model_config = ConfigDict(populate_by_name=True, arbitrary_types_allowed=True)

    def at(self, version: Version) -> dict[str, Any]:
        return {
            name: _rendered(getattr(self, attribute), version)
            for name, attribute in self.fields_at(version).items()
            if attribute in self.model_fields_set
        }


def _rendered(value: Any, version: Version) -> Any:
    if isinstance(value, View):
        return value.at(version)
    if isinstance(value, list):
        return [_rendered(item, version) for item in value]
    if isinstance(value, dict):
        return {name: _rendered(item, version) for name, item in value.items()}
    return value
