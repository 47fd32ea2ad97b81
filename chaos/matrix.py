"""The table: one cell after the other, or many at once where one blow hits all that stand at their moment."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
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
from chaos.servers import Guest, Owner
from tests.waiting import wait_until

BATCH = 14
# What an order may take until it is reached: a fetch, a shutdown, a boot, on a slow machine.
REACHED = 60.0


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
    """Cells of one operation and one fault, at most BATCH at once."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.operation, cell.fault), []).append(cell)
    for group in groups.values():
        for first in range(0, len(group), BATCH):
            yield group[first : first + BATCH]


def run_batch(owner: Owner, cells: list[Cell]) -> list[Outcome]:
    """Every cell on a server of its own, all with the same fault."""
    guests = _guests(owner, cells)
    outcomes = [Outcome(str(cell)) for cell in cells]
    orders = [_order(owner.cloud, guest, cell) for guest, cell in zip(guests, cells, strict=True)]
    for guest, cell in zip(guests, cells, strict=True):
        owner.ask(guest, cell.operation)
    begun = time.monotonic()
    _await_orders(owner.cloud, orders)
    for order, outcome in zip(orders, outcomes, strict=True):
        if owner.cloud.orders.was_taken(order):
            outcome.fired = owner.cloud.orders.noted(order)
    if cells[0].fault in LOCAL:
        _await_ends(owner, guests, outcomes, begun)
    else:
        begun = time.monotonic()
        _strike(owner, cells[0].fault, orders, guests, outcomes)
        _await_ends(owner, guests, outcomes, begun)
    for order, outcome in zip(orders, outcomes, strict=True):
        if not outcome.fired:
            owner.cloud.orders.withdraw(order)
            outcome.complain("not fired", "the moment of the fault never came")
        elif cells[0].fault in LOCAL:
            outcome.fired = owner.cloud.orders.noted(order)
    for guest, outcome in zip(guests, outcomes, strict=True):
        outcome.revived = owner.revive(guest)
    judge(owner, guests, outcomes)
    return outcomes


def _guests(owner: Owner, cells: list[Cell]) -> list[Guest]:
    """As many servers as there are cells, each ready for what is asked of it."""
    if (missing := len(cells) - len(owner.guests)) > 0:
        owner.create(missing)
    guests = owner.guests[: len(cells)]
    if cells[0].operation != "rebuild":
        fresh = [guest for guest in guests if guest.previous is None]
        for guest in fresh:
            owner.ask(guest, "rebuild")
        for guest in fresh:
            assert owner.wait(guest) is not None
            guest.now, guest.previous = guest.wanted, guest.now
    return guests


def _order(cloud: ChaosCloud, guest: Guest, cell: Cell) -> str:
    if cell.backwards:
        cloud.orders.give(guest.id, FAILS_AT, BEFORE, ERROR)
    return cloud.orders.give(guest.id, cell.deed, cell.moment, cell.order)


def _await_orders(cloud: ChaosCloud, orders: list[str]) -> None:
    try:
        wait_until(lambda: all(map(cloud.orders.was_taken, orders)), "every order is taken", REACHED)
    except AssertionError:
        return  # What was not taken is reported with its cell.


def _strike(
    owner: Owner, fault: str, orders: list[str], guests: list[Guest], outcomes: list[Outcome]
) -> None:
    """What happens to all that stand at their moments, at once."""
    cloud = owner.cloud
    strike = {
        KILL_AGENT: cloud.kill_agent,
        KILL_POSTGRES: cloud.kill_postgres,
        KILL_EVERYTHING: cloud.kill_everything,
        REBOOT: cloud.reboot,
    }
    if fault == FULL_DISK:
        with cloud.full_disk() as what:
            for order in orders:
                cloud.orders.let_go(order)
            # The disk stays full until the last has ended on it.
            for guest in guests:
                owner.wait(guest)
    else:
        what = strike[fault]()
        for order in orders:
            cloud.orders.let_go(order)
    for outcome in outcomes:
        outcome.fired = what if outcome.fired else ""


def _await_ends(owner: Owner, guests: list[Guest], outcomes: list[Outcome], begun: float) -> None:
    open_ones = dict(enumerate(guests))
    deadline = time.monotonic() + 120
    while open_ones and time.monotonic() < deadline:
        for number, guest in list(open_ones.items()):
            action = owner.wait(guest, 0.1)
            if action is not None:
                outcomes[number].seconds = time.monotonic() - begun
                outcomes[number].result = action["message"] or "Success"
                del open_ones[number]
    for number in open_ones:
        outcomes[number].result = "not ended"


def judge(owner: Owner, guests: list[Guest], outcomes: list[Outcome]) -> None:
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
            guest.now, guest.previous = guest.wanted, guest.now
        if by_id[guest.id].complaints:
            owner.abandon(guest)
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
