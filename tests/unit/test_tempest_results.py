"""What counts as a failed run of tempest, whatever tempest itself says."""

import pytest

from tempest.run import complaints_of_results, expected_skips, results_of

HEADER = "test,status,start_time,stop_time\n"


def test_a_class_that_is_skipped_or_fails_as_a_whole_is_each_of_its_tests() -> None:
    table = f'{HEADER}"tempest.A.one[id-1,smoke]",success,,\nsetUpClass (tempest.B),skip,,\n'
    table += "setUpClass (tempest.C),failure,,\ntearDownClass (tempest.A),failure,,\n"
    selected = ["tempest.A.one", "tempest.B.two", "tempest.C.three", "tempest.D.four"]
    assert results_of(selected, table) == dict(
        zip(selected, ("success", "skip", "failure", "none"), strict=True),
        **{"tearDownClass (tempest.A)": "failure"},
    )


@pytest.mark.parametrize(
    ("result", "expected", "complaints"),
    [
        ("success", {}, 0),
        ("skip", {"tempest.A.one": "a reason"}, 0),
        ("skip", {}, 1),
        ("success", {"tempest.A.one": "a reason"}, 1),
        ("failure", {"tempest.A.one": "a reason"}, 2),
        ("none", {}, 1),
    ],
)
def test_what_makes_a_run_a_failure(result: str, expected: dict[str, str], complaints: int) -> None:
    assert len(complaints_of_results({"tempest.A.one": result}, expected)) == complaints


def test_each_expected_skip_has_a_reason() -> None:
    assert all(expected_skips().values())
