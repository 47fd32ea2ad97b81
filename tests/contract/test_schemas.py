"""Each schema takes a right answer and refuses every one that is wrong in one place."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.contract.forms import Schema, example_of
from tests.contract.server_answers import (
    ANSWERS,
    CREATED,
    FIELDS,
    INDEX,
    RESERVED,
    VIEWERS,
    page_of,
    steps,
)
from tests.contract.wrong_answers import wrong_answers, wrong_members


def refuses(schema: Schema, wrongs: Iterator[Any]) -> None:
    """The schema takes its own example and none of `wrongs`."""
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    validator.validate(example_of(schema))
    tried = [*wrongs]
    assert tried
    assert [json.dumps(wrong) for wrong in tried if validator.is_valid(wrong)] == []


FORMS = {
    "create": CREATED,
    "reserve": RESERVED,
    "index": INDEX,
    "page": page_of({"type": "integer", "examples": [1]}),
} | {f"{field.name}-{index}": field.form for index, field in enumerate(FIELDS)}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_a_form_refuses_whatever_is_wrong_at_any_depth(form: Schema) -> None:
    refuses(form, wrong_answers(form, example_of(form)))


@pytest.mark.parametrize("viewer", VIEWERS)
@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_has_each_member_in_its_form_and_no_other(answer: str, viewer: str) -> None:
    for _, schema in steps(answer, viewer):
        refuses(schema, wrong_members(schema, example_of(schema)))


def test_the_answers_change_where_the_samples_of_nova_do() -> None:
    """The directories of doc/api_samples/servers in which there is another answer than in the one before."""
    told = {answer: [minor for minor, _ in steps(answer, "admin")] for answer in ANSWERS}
    shown = [1, 3, 9, 16, 19, 26, 47, 63, 71, 73, 96, 98, 100]
    assert told["show"] == shown
    assert told["detail"] == [minor for minor in shown if minor != 71]
    assert told["update"] == [1, 9, 19, 26, 47, 63, 71, 73, 75, 96, 98, 100]
    assert told["rebuild"] == [1, 9, 19, 26, 47, 54, 57, 63, 71, 73, 75, 96, 98, 100]
    assert [minor for minor, _ in steps("show", "member")] == sorted({*shown, 90} - {16})
