"""Marks on fields, what a version asks for, and that the docs say what the marks do."""

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from renova.api import history
from renova.api.marked import Query, Request, View, rendered
from renova.api.microversions import (
    MAXIMUM,
    MINIMUM,
    Change,
    UnsupportedVersionError,
    Version,
    parse,
    requested,
    required_since,
    since,
    until,
)

DOCS = Path(__file__).parents[2] / "docs" / "microversions.md"


class Part(Request):
    size: Annotated[int, since("2.10")] = 1


class Body(Request):
    name: Annotated[str | None, required_since("2.20")] = None
    early: Annotated[int | None, Field(alias="value"), until("2.9")] = None
    late: Annotated[str | None, Field(alias="value"), since("2.10")] = None
    part: Part | None = None


class Answer(View):
    early: Annotated[str, Field(alias="value"), until("2.9")]
    late: Annotated[int, Field(alias="value"), since("2.10")]
    optional: str = "not set, not shown"


class Filters(Query):
    name: str | None = None
    keys: Annotated[list[str], Field(default_factory=list)]
    late: Annotated[str | None, since("2.10")] = None


def test_a_field_changes_its_type_under_one_name() -> None:
    assert Body.parse({"value": 3}, parse("2.9")).early == 3
    assert Body.parse({"value": "x"}, parse("2.10")).late == "x"
    for version, wrong in (("2.9", "x"), ("2.10", 3)):
        with pytest.raises(ValidationError):
            Body.parse({"value": wrong}, parse(version))


def test_a_part_follows_the_version_of_the_whole() -> None:
    body = {"part": {"size": 3}}
    with pytest.raises(ValidationError):
        Body.parse(body, parse("2.9"))
    sizes = [
        Body.parse(body, parse("2.10")).part,
        Body.parse(body, parse("2.9"), legacy=True).part,
    ]
    assert [part and part.size for part in sizes] == [3, 1]


def test_a_field_may_become_required() -> None:
    assert Body.parse({}, parse("2.19")).name is None
    with pytest.raises(ValidationError):
        Body.parse({}, parse("2.20"))


def test_null_is_not_absence() -> None:
    assert Body.parse({"name": None}, MINIMUM).sent("name")
    assert not Body.parse({}, MINIMUM).sent("name")


def test_an_attribute_is_not_a_name() -> None:
    with pytest.raises(ValidationError):
        Body.parse({"early": 3}, MINIMUM)


def test_a_view_shows_what_was_set_and_the_version_has() -> None:
    view = Answer(early="x", late=3)
    assert rendered({"views": [view]}, parse("2.9")) == {"views": [{"value": "x"}]}
    assert rendered({"views": [view]}, parse("2.10")) == {"views": [{"value": 3}]}


def test_parameters_that_are_not_known() -> None:
    items = [("name", "a"), ("name", "b"), ("keys", "x"), ("keys", "y"), ("late", "z"), ("other", "")]
    filters = Filters.read(items, parse("2.9"))
    assert (filters.name, filters.keys, filters.late) == ("b", ["x", "y"], None)
    with pytest.raises(ValidationError):
        Filters.read(items, Filters.closed_since)


@pytest.mark.parametrize("text", ["", "2", "2.", ".1", "2.01", "02.1", "2.1 ", "2.1\n", "2.x", "-2.1", "².1"])
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse(text)


def test_the_bounds_are_ours() -> None:
    assert requested(f"compute {MINIMUM}", None) == MINIMUM
    assert requested(f"compute {MAXIMUM}", None) == MAXIMUM
    for beyond in (Version(2, 0), Version(2, MAXIMUM.minor + 1), Version(3, 0)):
        with pytest.raises(UnsupportedVersionError):
            requested(f"compute {beyond}", None)


def test_a_change_holds_from_its_version_on() -> None:
    change = Change("2.10", "something is different")
    assert parse("2.9") not in change
    assert parse("2.10") in change


def test_the_docs_are_in_step_with_the_marks() -> None:
    assert DOCS.read_text() == history.page(), "run: python -m renova.api.history > docs/microversions.md"


def test_the_page_tells_what_came_and_what_went() -> None:
    page = history.page()
    newest, _, older = page.partition("## 2.36")
    assert "`maxPersonality` is gone in an answer" in newest
    assert "`description` is new in a request (`NewFlavor`)" in newest
    assert "`type` is new in a request (`NewKeyPair`)" in older
    assert "in a request (`Body`)" not in page
