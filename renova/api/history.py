"""docs/microversions.md, from the marks: `python -m renova.api.history > docs/microversions.md`."""

import inspect
import sys
from collections import defaultdict
from collections.abc import Iterator
from types import ModuleType

from renova.api import app
from renova.api.marked import Marked, Request, span_of
from renova.api.microversions import MAXIMUM, MINIMUM, Change, Version, parse

HEAD = f"""# Microversions

Renova speaks the microversions {MINIMUM} to {MAXIMUM} of the Compute API. A version that is not named here
changes nothing in the calls that Renova serves. Names in parentheses are those of declarations in the code.

Made from these declarations by `python -m renova.api.history > docs/microversions.md`; do not edit.
"""


def page() -> str:
    """The whole page, newest version first as in Nova's own history."""
    effects: dict[Version, set[str]] = defaultdict(set)
    for version, effect in [*_of_fields(), *_of_calls()]:
        if MINIMUM < version <= MAXIMUM:
            effects[version].add(effect)
    sections = [
        f"\n## {version}\n\n" + "".join(f"* {effect}\n" for effect in sorted(effects[version]))
        for version in sorted(effects, reverse=True)
    ]
    return HEAD + "".join(sections)


def _of_fields() -> Iterator[tuple[Version, str]]:
    for model in _models(Marked):
        noun = model.__module__.rpartition(".")[2]
        where = (
            f"in a request (`{model.__name__}`)"
            if issubclass(model, Request)
            else f"in an answer (`{model.__name__}`)"
        )
        came: dict[Version, set[str]] = defaultdict(set)
        went: dict[Version, set[str]] = defaultdict(set)
        for attribute in inspect.get_annotations(model):
            if attribute not in model.model_fields:
                continue
            field = model.model_fields[attribute]
            name, span = field.alias or attribute, span_of(field.metadata)
            came[span.first].add(name)
            if span.last is not None:
                went[Version(span.last.major, span.last.minor + 1)].add(name)
            if span.required_from is not None:
                yield span.required_from, f"{noun}: `{name}` has to be sent {where}"
        for version in came.keys() | went.keys():
            for name in came[version] | went[version]:
                change = "is new" if name not in went[version] else "is gone"
                if name in came[version] & went[version]:
                    change = "is of another form"
                yield version, f"{noun}: `{name}` {change} {where}"


def _models(base: type[Marked]) -> Iterator[type[Marked]]:
    """Every model of the API itself, tests' own left out."""
    for model in base.__subclasses__():
        if model.__module__.startswith("renova.api."):
            yield model
        yield from _models(model)


def _of_calls() -> Iterator[tuple[Version, str]]:
    routes = app.every_route()
    for path, methods in routes.by_path.items():
        for method, route in methods.items():
            yield route.versions.first, f"`{method} {path}` is new"
    for path, actions in routes.actions.items():
        for name, route in actions.items():
            yield route.versions.first, f"`POST {path}` with `{name}` is new"
    for noun in app.NOUNS:
        for change in _changes(noun):
            yield parse(change.first), f"{noun.__name__.rpartition('.')[2]}: {change.sentence}"


def _changes(noun: ModuleType) -> list[Change]:
    return [value for value in vars(noun).values() if isinstance(value, Change)]


if __name__ == "__main__":
    sys.stdout.write(page())
