"""Cells: what can go wrong, where, and when. Drawn up from the agent's own table of operations, so that a new
step is in it without anybody's doing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from chaos.moments import UNDO, WITHOUT_MIDST
from chaos.orders import AFTER, ERROR, HOLD, IN, KILL_QEMU, MOMENTS, TWICE
from renova.agent.operations import OPERATIONS

KILL_AGENT, KILL_POSTGRES, KILL_EVERYTHING = "kill agent", "kill PostgreSQL", "kill everything"
REBOOT, FULL_DISK = "reboot", "full disk"
# What the agent does to itself or to one guest, and what happens to all servers at once.
LOCAL = (ERROR, KILL_QEMU, TWICE)
GLOBAL = (KILL_AGENT, KILL_POSTGRES, KILL_EVERYTHING, REBOOT, FULL_DISK)
FAULTS = (KILL_AGENT, KILL_QEMU, KILL_POSTGRES, KILL_EVERYTHING, REBOOT, ERROR, FULL_DISK)
# The operations that this is about: those that put another system onto a server.
NAMES = ("rebuild", "undoRebuild")
# Where an operation is made to fail, for faults on the way back.
FAILS_AT = "verify_guest"


@dataclass(frozen=True)
class Cell:
    """One fault at one moment of one deed of one operation."""

    operation: str
    deed: str
    moment: str
    fault: str

    @property
    def backwards(self) -> bool:
        """Whether the operation has to fail first for this deed to be done."""
        return self.deed.startswith(UNDO) or self.deed == "fail"

    @property
    def order(self) -> str:
        """What the agent is told: to do it itself, or to wait for what is done to everything."""
        return self.fault if self.fault in LOCAL else HOLD

    def __str__(self) -> str:
        return f"{self.operation} {self.deed} {self.moment} {self.fault}"


def every_cell() -> Iterator[Cell]:
    for name in NAMES:
        if name in OPERATIONS:
            for fault in FAULTS:
                for deed, moments in _deeds(name):
                    yield from (Cell(name, deed, moment, fault) for moment in moments)
            yield from (Cell(name, deed, TWICE, TWICE) for deed, _ in _deeds(name) if _repeats(deed))


def _deeds(operation: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Deeds in the order in which they are done, the ways back last. The ends are one transaction each: what
    is after them is before the tidying.
    """
    steps = OPERATIONS[operation].steps
    end = tuple(moment for moment in MOMENTS if moment != AFTER)
    whole = tuple(moment for moment in MOMENTS if moment != IN)
    yield from ((step.name, whole if step.name in WITHOUT_MIDST else MOMENTS) for step in steps)
    yield "commit", end
    if OPERATIONS[operation].tidy:
        yield "tidy", MOMENTS
    yield from ((UNDO + step.name, MOMENTS) for step in reversed(steps) if step.undo)
    yield "fail", end


def _repeats(deed: str) -> bool:
    """A transaction that ends a task is there once; every step and every undo may be done again."""
    return deed not in ("commit", "fail")
