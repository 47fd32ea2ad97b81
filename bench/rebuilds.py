"""Rebuilds end to end: one client that waits for each, and eight clients at once; beside them bare QEMU."""

import json
import os
import subprocess
import sys

from bench.figures import Figure, Figures
from bench.servers import Servers

CLIENTS = 8
MASS_ACTIVE = f"servers rebuilt by {CLIENTS} clients, to ACTIVE"
MASS_WORDS = f"servers rebuilt by {CLIENTS} clients, to the new guests' first words"


def measure_single(servers: Servers, figures: Figures, count: int) -> None:
    """One client rebuilds one server; its next request follows the new guest's first word."""
    (guest,) = servers.make(1)
    connection, admin = servers.connection(), servers.connection("renova-admin")
    names = ("POST rebuild", "POST to ACTIVE", "guest off the air (stop to cont)")
    with figures.measuring("ms", *names) as (accepted, active, off_air):
        for _ in range(count):
            rebuilt = servers.rebuild(connection, guest, servers.other(guest))
            servers.listen(guest)
            accepted.values.append(rebuilt.accepted)
            active.values.append(rebuilt.active)
            off_air.values.append(servers.off_air(admin, guest, rebuilt))
    connection.close()
    admin.close()


def measure_mass(servers: Servers, figures: Figures, count: int, rounds: int) -> None:
    """So many servers, eight clients. Each round is one value."""
    guests = servers.make(count)
    with figures.measuring("/s", MASS_ACTIVE, MASS_WORDS) as (active, words):
        for _ in range(rounds):
            to_active, to_words = servers.rebuild_all(guests, CLIENTS)
            active.values.append(to_active)
            words.values.append(to_words)


def measure_floor(figures: Figures, count: int, machines: int, rounds: int) -> None:
    """The same work on bare QEMU, driven by a program that has nothing of Renova."""
    command = [sys.executable, "-m", "bench.floor", "--count", str(count), "--drivers", str(CLIENTS)]
    command += ["--machines", str(machines), "--rounds", str(rounds)]
    before = os.getloadavg()[0]
    said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    for name, values in said.items():
        unit = "/s" if name.endswith("/s") else "ms"
        figures.add(Figure(f"bare QEMU: {name}", unit, values, (before, os.getloadavg()[0])))
