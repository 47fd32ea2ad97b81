"""Orders: which fault happens to which server, in which deed of the agent, at which moment of it.

An order is a file. The driver writes it, and the agent that reaches the moment takes it by a rename: so it is
carried out once, by whichever agent comes first, and that it was carried out is seen from outside. Used by
both, which share nothing else.
"""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# What an agent does itself. HOLD: it waits until it is let go, or until somebody kills it.
ERROR, KILL_QEMU, HOLD, TWICE = "error", "kill QEMU", "hold", "twice"
BEFORE, IN, AFTER = "before", "in", "after"
MOMENTS = (BEFORE, IN, AFTER)
LOOK_AGAIN = 0.02


@dataclass(frozen=True)
class Orders:
    """The directory of the orders of one cloud."""

    path: Path

    def make(self) -> None:
        for name in ("ordered", "taken", "let-go"):
            (self.path / name).mkdir(parents=True, exist_ok=True)

    def give(self, server_id: str, deed: str, moment: str, fault: str) -> str:
        """Returns the order's name."""
        name = f"{server_id}.{deed}.{moment}"
        for folder in ("taken", "let-go"):
            (self.path / folder / name).unlink(missing_ok=True)
        new = self.path / name
        new.write_text(fault)
        new.rename(self.path / "ordered" / name)
        return name

    def take(self, server_id: str, deed: str, moment: str) -> tuple[str, str] | None:
        """(name, fault) where there is an order for this moment that nobody has taken."""
        name = f"{server_id}.{deed}.{moment}"
        taken = self.path / "taken" / name
        try:
            os.rename(self.path / "ordered" / name, taken)  # noqa: PTH104  Path.rename looks first.
        except FileNotFoundError:
            return None
        return name, taken.read_text()

    def note(self, name: str, what: str) -> None:
        """What the agent did, for the report."""
        (self.path / "taken" / name).write_text(what)

    def was_taken(self, name: str) -> bool:
        return (self.path / "taken" / name).exists()

    def noted(self, name: str) -> str:
        return (self.path / "taken" / name).read_text()

    def let_go(self, name: str) -> None:
        (self.path / "let-go" / name).touch()

    def may_go(self, name: str) -> bool:
        return (self.path / "let-go" / name).exists()

    def wait_to_go(self, name: str) -> None:
        """For a deed in a thread of its own."""
        while not self.may_go(name):
            time.sleep(LOOK_AGAIN)

    def withdraw(self, name: str) -> None:
        with suppress(FileNotFoundError):
            (self.path / "ordered" / name).unlink()
