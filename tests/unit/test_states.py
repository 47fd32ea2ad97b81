"""The table of transitions and the page that is drawn from it say the same."""

from pathlib import Path

import pytest

from renova.compute import diagram
from renova.compute.states import REBUILD, STATUS, TRANSITIONS, VmState

DOCS = Path(__file__).parents[2] / "docs" / "states.md"


def test_the_page_is_that_of_the_table() -> None:
    assert DOCS.read_text() == diagram.page(), "run: python -m renova.compute.diagram > docs/states.md"


@pytest.mark.parametrize("name", TRANSITIONS)
def test_a_client_sees_a_status_that_the_table_names_while_it_is_done(name: str) -> None:
    transition = TRANSITIONS[name]
    for source, targets in transition.paths.items():
        assert {source, *targets} <= STATUS.keys()


def test_only_profile_nova_rebuilds_from_error() -> None:
    assert REBUILD["nova"].sources - REBUILD["noa"].sources == {VmState.ERROR}
