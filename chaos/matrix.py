"""The table: one cell after the other, or many at once where one blow hits all that stand at their moment."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from chaos.cells import (
    FAILS_AT,
    FULL_DISK,
    KILL_AGENT,
    KILL_EVERYTHING,
    KILL_POSTGRES,
    LOCAL,
    REBOOT,
    Cell,
)
from chaos.cloud import ChaosCloud
from chaos.orders import BEFORE, ERROR
from chaos.servers import End, Guest, Owner
from tests.waiting import wait_until

BATCH = 36
# What an order may take until it is reached: a fetch, a shutdown, a boot, on a slow machine.
REACHED = 60.0
FETCHES = "fetch_image"


@dataclass
class Outcome:
    """What came of one case."""

    case: str
    fired: str = ""
    system: str = ""
    result: str = ""
    seconds: float = 0.0
    revived: str = ""
    complaints: list[dict[str, str]] = field(default_factory=list)

    def complain(self, kind: str, what: str) -> None:
        self.complaints.append({"kind": kind, "server": "", "what": what})


def batches(cells: list[Cell]) -> Iterator[list[Cell]]:
    """Cells of one operation that may happen at once, at most BATCH."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.operation, "" if cell.fault in LOCAL else cell.fault), []).append(cell)
    for group in groups.values():
        for first in range(0, len(group), BATCH):
            yield group[first : first + BATCH]


def run_batch(owner: Owner, cells: list[Cell]) -> list[Outcome]:
    """Every cell on a server of its own; one blow for all where it is one that hits all."""
    orders = owner.cloud.orders
    guests = _guests(owner, cells)
    outcomes = [Outcome(str(cell)) for cell in cells]
    names = [_order(owner.cloud, guest, cell) for guest, cell in zip(guests, cells, strict=True)]
    system = owner.image()
    for guest, cell in zip(guests, cells, strict=True):
        # One that is fetched is there for the others too, who are not about fetching.
        owner.ask(guest, cell.operation, None if cell.deed == FETCHES else system)
    with suppress(AssertionError):  # What was not taken is reported with its cell.
        wait_until(lambda: all(map(orders.was_taken, names)), "every order is taken", REACHED)
    taken = [orders.was_taken(name) for name in names]
    if cells[0].fault in LOCAL:
        ends = owner.await_ends(guests)
    else:
        ends, what = _strike(owner, cells[0].fault, names, guests)
    for outcome, name, was_taken in zip(outcomes, names, taken, strict=True):
        if was_taken:
            outcome.fired = orders.noted(name) if cells[0].fault in LOCAL else what
        else:
            orders.withdraw(name)
            outcome.complain("not fired", "the moment of the fault never came")
    settle(owner, guests, outcomes, ends)
    return outcomes


def _guests(owner: Owner, cells: list[Cell]) -> list[Guest]:
    """As many servers as there are cells, each ready for what is asked of it."""
    if (missing := len(cells) - len(owner.guests)) > 0:
        owner.create(missing)
    guests = owner.guests[: len(cells)]
    if cells[0].operation != "rebuild":
        fresh = [guest for guest in guests if owner.previous(guest) is None]
        system = owner.image()
        for guest in fresh:
            owner.ask(guest, "rebuild", system)
        settle(owner, fresh, [Outcome("") for _ in fresh], owner.await_ends(fresh))
    return guests


def _order(cloud: ChaosCloud, guest: Guest, cell: Cell) -> str:
    if cell.backwards:
        cloud.orders.give(guest.id, FAILS_AT, BEFORE, ERROR)
    return cloud.orders.give(guest.id, cell.deed, cell.moment, cell.order)


def _strike(owner: Owner, fault: str, names: list[str], guests: list[Guest]) -> tuple[dict[str, End], str]:
    """What happens to all that stand at their moments. Returns how their actions ended, and what it was."""
    cloud, now = owner.cloud, datetime.now(UTC)
    if fault == FULL_DISK:
        with cloud.full_disk() as what:
            for name in names:
                cloud.orders.let_go(name)
            # The disk stays full until the last has ended on it.
            return owner.await_ends(guests, since=now), what
    strike = {
        KILL_AGENT: cloud.kill_agent,
        KILL_POSTGRES: cloud.kill_postgres,
        KILL_EVERYTHING: cloud.kill_everything,
        REBOOT: cloud.reboot,
    }
    what = strike[fault]()
    for name in names:
        cloud.orders.let_go(name)
    return owner.await_ends(guests, since=now), what


def settle(owner: Owner, guests: list[Guest], outcomes: list[Outcome], ends: dict[str, End]) -> None:
    """The owner puts right what is an owner's to put right; then the checker has the word."""
    # Of all of them: a blow that hits everything hits those too that nothing is asked of.
    revived = owner.revive(owner.guests)
    for guest, outcome in zip(guests, outcomes, strict=True):
        end = ends.get(guest.id, End("not ended", 0))
        outcome.result, outcome.seconds, outcome.revived = end.result, end.seconds, revived[guest.id]
    _judge(owner, guests, outcomes)


def _judge(owner: Owner, guests: list[Guest], outcomes: list[Outcome]) -> None:
    """Have the checker look at everything, and hang its complaints on the cases that they are about; on the
    first, what is about no server of these.
    """
    verdict = checker(owner)
    by_id = {guest.id: outcome for guest, outcome in zip(guests, outcomes, strict=True)}
    rest = []
    for complaint in verdict["complaints"]:
        if complaint["server"] in by_id:
            by_id[complaint["server"]].complaints.append(complaint)
        else:
            rest.append(complaint)
    for guest in list(guests):
        said = verdict["speaks"].get(guest.id)
        by_id[guest.id].system = {guest.wanted: "new OS", guest.now: "old OS"}.get(said, "no OS")
        if said == guest.wanted:
            guest.now = guest.wanted
        guest.wanted = guest.request_id = ""
        if by_id[guest.id].complaints:
            owner.abandon(guest)
    if outcomes:
        outcomes[0].complaints += rest


def checker(owner: Owner) -> dict[str, Any]:
    """The checker's answer, from a process of its own."""
    cloud = owner.cloud
    places = ["--state", str(cloud.compute), "--run", str(cloud.state.run_path)]
    expected = [
        {
            "id": guest.id,
            "systems": [guest.now, guest.wanted] if guest.wanted else [guest.now],
            "request_id": guest.request_id,
            "address": guest.address,
        }
        for guest in owner.guests
    ]
    done = subprocess.run(
        [sys.executable, "-m", "chaos.checker", *places, "--database", cloud.database],
        input=json.dumps({"servers": expected}),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
