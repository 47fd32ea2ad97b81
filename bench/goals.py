"""The goals: what Renova has set itself, what bare QEMU does in the same run, and what Nova did."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.figures import Figure, Figures
from bench.rebuilds import MASS_ACTIVE, MASS_WORDS
from bench.requests import CLIENTS, LISTED


@dataclass(frozen=True)
class Goal:
    """What a figure's median is to be. `floor` names the figure of the same work on bare QEMU; with
    `share_of`, what people call that floor, the goal is a part of it instead of a number. Nova's figures:
    docs/performance.md.
    """

    figure: str
    limit: float
    nova: str
    floor: str | None = None
    share_of: str | None = None


GOALS = (
    Goal("POST rebuild", 10, "178 ms"),
    Goal("POST to ACTIVE", 60, "424 ms (no VM), 2,960 ms (VM)", "bare QEMU: swap"),
    Goal("guest off the air (stop to cont)", 15, "seconds", "bare QEMU: swap off air"),
    Goal(MASS_ACTIVE, 40, "3.9 to 5.1 /s (no VM)", "bare QEMU: swaps/s"),
    Goal(MASS_WORDS, 0.8, "-", "bare QEMU: plain swaps, first words/s", share_of="bare QEMU, plain swaps"),
    Goal(MASS_WORDS, 0.8, "-", "bare QEMU: swaps, first words/s", share_of="bare QEMU that forgets"),
    Goal(f"GET one server, {CLIENTS} clients", 800, "39 /s"),
    Goal(f"GET detail of {LISTED} servers", 15, "244 ms"),
    Goal("whole cloud idle (PSS)", 450, "1,669 MiB"),
    Goal("second start to ready", 5, "-"),
)


@dataclass(frozen=True)
class Verdict:
    """One goal, held against a run."""

    name: str
    wanted: str
    measured: str
    met: bool
    to_floor: str
    nova: str


def verdicts(figures: Figures) -> Iterator[Verdict]:
    """One for each goal whose figure was measured, and its floor, if it is judged by that."""
    for goal in GOALS:
        figure = figures.get(goal.figure)
        floor = figures.get(goal.floor) if goal.floor else None
        if figure is None or (goal.share_of and floor is None):
            continue
        ratio = figure.median / floor.median if floor else None
        yield Verdict(
            name=goal.figure,
            wanted=f"{goal.limit:.0%} of {goal.share_of}"
            if goal.share_of
            else _shown(goal.limit, figure.unit),
            measured=_shown(figure.median, figure.unit),
            met=_met(goal, figure, ratio),
            to_floor="-" if ratio is None else f"{ratio:.2f}",
            nova=goal.nova,
        )


def _met(goal: Goal, figure: Figure, ratio: float | None) -> bool:
    value = ratio if goal.share_of and ratio is not None else figure.median
    return value >= goal.limit if figure.unit == "/s" else value <= goal.limit


def _shown(value: float, unit: str) -> str:
    return f"{value:,.{1 if value < 100 else 0}f} {unit}"


HEADINGS = ("figure", "goal", "measured", "met", "times bare QEMU", "Nova")


def table(figures: Figures) -> str:
    """The verdicts as a table in Markdown."""
    rows = [HEADINGS, tuple("---" for _ in HEADINGS)]
    rows += [
        (v.name, v.wanted, v.measured, "yes" if v.met else "no", v.to_floor, v.nova)
        for v in verdicts(figures)
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
