"""At random: several servers rebuild at once, with good images and bad ones, and things are killed."""

import random
import time

from chaos import processes
from chaos.cloud import ChaosCloud
from chaos.matrix import Outcome, settle
from chaos.servers import Guest, Owner
from renova.agent.operations import OPERATIONS
from tests.guest.boot_sector import Then

SERVERS = 5
# Good images more often than each kind of bad one.
SYSTEMS = (Then.REPEAT, Then.REPEAT, Then.REPEAT, Then.PANIC, Then.POWER_OFF, Then.RESET)
# Seconds from the requests to the first blow, and between two, at most.
LULL = 1.5
BLOWS = 3


def rage(owner: Owner, numbers: random.Random, seconds: float) -> list[Outcome]:
    """Rounds until the time is over; in each, every server has an operation, and some blows fall."""
    outcomes: list[Outcome] = []
    deadline = time.monotonic() + seconds
    number = 0
    while time.monotonic() < deadline:
        number += 1
        outcomes += _round(owner, numbers, number)
    return outcomes


def _round(owner: Owner, numbers: random.Random, number: int) -> list[Outcome]:
    if (missing := SERVERS - len(owner.guests)) > 0:
        owner.create(missing)
    guests = numbers.sample(owner.guests, SERVERS)
    outcomes = [Outcome(f"random {number}: {_ask(owner, guest, numbers)}") for guest in guests]
    blows = [_blow(owner.cloud, guests, numbers) for _ in range(numbers.randint(1, BLOWS))]
    for outcome in outcomes:
        outcome.fired = ", ".join(blows)
    settle(owner, guests, outcomes, owner.await_ends(guests))
    return outcomes


def _ask(owner: Owner, guest: Guest, numbers: random.Random) -> str:
    names = ["rebuild"]
    if "undoRebuild" in OPERATIONS and owner.previous(guest) is not None:
        names.append("undoRebuild")
    name, then = numbers.choice(names), numbers.choice(SYSTEMS)
    owner.ask(guest, name, owner.image(then) if name == "rebuild" else None)
    return f"rebuild, {then.name}" if name == "rebuild" else name


def _blow(cloud: ChaosCloud, guests: list[Guest], numbers: random.Random) -> str:
    """One kill, after a while."""
    time.sleep(numbers.uniform(0, LULL))  # Any instant is as good as another: this is what is at random.

    def kill_qemu() -> str:
        killed = processes.kill(processes.machines(cloud.state.run_path, numbers.choice(guests).id))
        return f"killed {killed} QEMU"

    blows = [cloud.kill_agent, kill_qemu, cloud.kill_postgres, cloud.kill_api, cloud.kill_everything]
    return numbers.choice([*blows, cloud.reboot])()
