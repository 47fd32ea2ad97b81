"""What a route answers, declared where it is registered: `status=202, answer={"server": ServerAnswer}`.

A form is a view, a type that pydantic knows (`dict[str, str]`), a list or an object of forms, or one of those
below. openapi.py makes schemas of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import GenericAlias
from typing import Any, Generic, TypeVar

from renova.api.microversions import Change, Version

T = TypeVar("T")


@dataclass(frozen=True)
class Changed(Generic[T]):
    """One thing up to a change and another from it on: a status, or a form."""

    change: Change
    before: T
    after: T

    def at(self, version: Version) -> T:
        return self.after if version in self.change else self.before


@dataclass(frozen=True)
class Sometimes:
    """A member of an object that is not always there."""

    form: Any


@dataclass(frozen=True)
class OneOf:
    """Forms of which each answer has one."""

    forms: tuple[Any, ...]


# None is no body.
Form = type[Any] | GenericAlias | list[Any] | Mapping[str, Any] | Sometimes | OneOf | Changed[Any] | None
# The status of success; several where the handler says which; none where there is no success.
Statuses = int | tuple[int, ...] | Changed[int]

# `<noun>_links` of a list: there while there is a next page.
NEXT = Sometimes(list[dict[str, str]])
NEVER: tuple[int, ...] = ()
