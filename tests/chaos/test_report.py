"""What the table has in it, and what makes the report a failure."""

import dataclasses

import pytest

from chaos.cells import FAULTS, Cell, every_cell
from chaos.matrix import Outcome
from chaos.report import Report
from renova.agent.engine import Step
from renova.agent.operations import OPERATIONS
from renova.agent.work import Work


async def nothing(_: Work) -> None:
    pass


def test_a_new_step_is_in_the_table_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    known = set(every_cell())
    operation = OPERATIONS["undoRebuild"]
    new = Step("polish_disks", nothing, undo=nothing)
    monkeypatch.setitem(
        OPERATIONS, "undoRebuild", dataclasses.replace(operation, steps=(*operation.steps, new))
    )
    added = set(every_cell()) - known
    deeds = ("polish_disks", "undo_polish_disks")
    assert added == {
        *(
            Cell("undoRebuild", deed, moment, fault)
            for deed in deeds
            for fault in FAULTS
            for moment in MOMENTS
        ),
        *(Cell("undoRebuild", deed, "twice", "twice") for deed in deeds),
    }


MOMENTS = ("before", "in", "after")


@pytest.mark.parametrize("kind", ["lost", "stuck", "left over", "not fired"])
def test_whatever_is_wrong_is_a_failure_and_counted(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    wrong = Outcome("rebuild swap_generation in error")
    wrong.complain(kind, "something is wrong")
    wrong.complain(kind, "and more of it")
    report.add([Outcome("rebuild fetch_image in error"), wrong])
    assert report.end() == 1
    said = capsys.readouterr().out
    counts = {name: int(name == kind) for name in ("lost", "stuck", "left over")}
    sums = f"{counts['lost']} servers lost, {counts['stuck']} stuck, {counts['left over']} left over"
    assert said.splitlines()[-1] == f"2 cases, {sums}"
    assert ("1 faults that never fired" in said) == (kind == "not fired")


def test_nothing_wrong_is_a_success(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    report.add([Outcome("rebuild fetch_image in error")])
    assert report.end() == 0
    assert capsys.readouterr().out.endswith("1 cases, 0 servers lost, 0 stuck, 0 left over\n")
