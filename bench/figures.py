"""Figures: what was measured, how often, and how busy the machine was meanwhile."""

import os
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Figure:
    """Values of one kind. `load` is the load average of one minute, before and after."""

    name: str
    unit: str
    values: list[float] = field(default_factory=list)
    load: tuple[float, float] = (0.0, 0.0)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def p95(self) -> float:
        """The smallest value that at least 95 of 100 do not exceed."""
        return sorted(self.values)[-(-95 * len(self.values) // 100) - 1]

    def summary(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "median": self.median,
            "p95": self.p95,
            "min": min(self.values),
            "max": max(self.values),
            "n": len(self.values),
        }

    def __str__(self) -> str:
        spread = f"p95 {self.p95:.1f}, {min(self.values):.1f} to {max(self.values):.1f}, n {len(self.values)}"
        load = " to ".join(f"{load:.1f}" for load in self.load)
        return f"{self.name}: {self.median:.1f} {self.unit} ({spread}; load {load})"


@dataclass
class Figures:
    """All figures of a run, in the order in which they were measured."""

    measured: list[Figure] = field(default_factory=list)

    @contextmanager
    def measuring(self, unit: str, *names: str) -> Iterator[tuple[Figure, ...]]:
        """Inside, values are added to the figures of these names. What gets no value is no figure."""
        figures = tuple(Figure(name, unit) for name in names)
        before = os.getloadavg()[0]
        yield figures
        for figure in figures:
            if figure.values:
                figure.load = (before, os.getloadavg()[0])
                self.add(figure)

    def add(self, figure: Figure) -> None:
        self.measured.append(figure)
        print(figure, flush=True)

    def get(self, name: str) -> Figure | None:
        return next((figure for figure in self.measured if figure.name == name), None)
