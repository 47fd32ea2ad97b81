"""The checker: whether every server is there, speaks, and is what its rows say; and whether anything is left.

    python -m chaos.checker --state PATH --run PATH --database URL < expected.json

It knows Renova from outside only and imports nothing of it: what guests print, files, processes, sockets and
mounts of the host, and the database by plain SQL. It is given what is expected, {"servers": [{"id", "systems"
(what its systems say, the one of before first), "request_id" (of the last operation) or "", "address"}]}; no
other server may be there. It answers with {"speaks": {id: what its guest said}, "complaints": [{"kind",
"server", "what"}]} and ends with 0 if there is none. Kinds: lost, stuck, left over.

Things need a moment to come to rest, so it looks again until there is no complaint, for --patience seconds.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg

from chaos.checker_host import Host
from chaos.checker_rows import Rows

LOST, STUCK, LEFT_OVER = "lost", "stuck", "left over"
LOOK_AGAIN = 0.2
# A generation before the one that runs may be kept, no more.
GENERATIONS = 2


@dataclass(frozen=True)
class Complaint:
    kind: str
    server: str
    what: str


@dataclass(frozen=True)
class Expected:
    """A server that is to be there."""

    id: str
    systems: list[str]
    request_id: str
    address: str


def check(expected: list[Expected], host: Host, rows: Rows) -> list[Complaint]:
    """Everything that is wrong at this moment."""
    found = [*_strangers(expected, host, rows), *_host_left_overs(host), *_jobs(rows)]
    for server in expected:
        found += [*_rows_of(server, rows), *_files_of(server, host, rows), *_machine_of(server, host, rows)]
        found += [*_actions_of(server, rows), *_speech_of(server, host, rows)]
    return found


def _strangers(expected: list[Expected], host: Host, rows: Rows) -> Iterator[Complaint]:
    """Whatever belongs to a server that nobody expects."""
    known = {server.id for server in expected}
    places = {
        "a row that counts against the quota": rows.living(),
        "rows of generations, which pin images": rows.generations.keys(),
        "ports with addresses": rows.ports.keys(),
        "a directory of disks": host.disks.keys(),
        "a run directory": host.run_directories(),
        "a QEMU process": host.machines.keys(),
    }
    for what, servers in places.items():
        for server in sorted(set(servers) - known):
            yield Complaint(LEFT_OVER, server, f"nobody's: {what}")


def _host_left_overs(host: Host) -> Iterator[Complaint]:
    for path in host.parts():
        yield Complaint(LEFT_OVER, "", f"an unfinished file: {path}")
    for place in host.mounts():
        yield Complaint(LEFT_OVER, "", f"a mount: {place}")
    for process in host.helpers():
        yield Complaint(LEFT_OVER, "", f"a process that works on disks: {process}")


def _jobs(rows: Rows) -> Iterator[Complaint]:
    for job in rows.jobs:
        yield Complaint(LEFT_OVER, "", f"a job of the queue: {job['task_name']} ({job['status']})")


def _rows_of(server: Expected, rows: Rows) -> Iterator[Complaint]:
    row = rows.servers.get(server.id)
    if row is None or row["deleted_at"] is not None:
        yield Complaint(LOST, server.id, "it has no row")
        return
    if row["task_state"] is not None:
        yield Complaint(STUCK, server.id, f"its task_state is {row['task_state']}")
    if row["vm_state"] != "active":
        yield Complaint(LOST, server.id, f"its vm_state is {row['vm_state']}")
    generations = rows.generations.get(server.id, {})
    running = generations.get(row["generation"])
    if running is None:
        yield Complaint(LOST, server.id, f"generation {row['generation']}, which it is to run, has no row")
    elif (row["image_id"], row["name"]) != (running["image_id"], running["name"]):
        yield Complaint(LOST, server.id, "its row tells of another system than the generation that runs")
    if len(generations) > GENERATIONS:
        yield Complaint(LEFT_OVER, server.id, f"rows of generations {sorted(generations)}, which pin images")
    for number, generation in generations.items():
        if generation["prepared_at"] is None:
            yield Complaint(LEFT_OVER, server.id, f"generation {number} was never finished, and has a row")
    ports = rows.ports.get(server.id, [])
    if server.address not in ports:
        yield Complaint(LOST, server.id, f"its address was {server.address} and is {', '.join(ports)}")
    if len(ports) > 1:
        yield Complaint(LEFT_OVER, server.id, f"more ports than it had: {', '.join(ports)}")


def _files_of(server: Expected, host: Host, rows: Rows) -> Iterator[Complaint]:
    files = host.disks.get(server.id, set())
    numbers = rows.generations.get(server.id, {})
    wanted = {name for number in numbers for name in (f"root-{number}.qcow2", f"config-{number}.iso")}
    for name in sorted(wanted - files):
        yield Complaint(LOST, server.id, f"{name} is gone")
    for name in sorted(files - wanted):
        yield Complaint(LEFT_OVER, server.id, f"{name} belongs to no generation")
    for number in numbers:
        name = f"root-{number}.qcow2"
        if name in files and not host.has_base(server.id, name):
            yield Complaint(LOST, server.id, f"{name} is no disk over an image that is here")


def _machine_of(server: Expected, host: Host, rows: Rows) -> Iterator[Complaint]:
    row = rows.servers.get(server.id)
    machines = host.machines.get(server.id, [])
    if row is None:
        return
    if row["vm_state"] != "active":
        if machines:
            yield Complaint(LEFT_OVER, server.id, f"QEMU {machines[0].pid} runs, the row says it does not")
        for name in host.leavings(server.id):
            yield Complaint(LEFT_OVER, server.id, f"{name} of a QEMU that is gone")
        return
    if not machines:
        yield Complaint(LOST, server.id, "it has no QEMU process")
    if len(machines) > 1:
        yield Complaint(LEFT_OVER, server.id, f"{len(machines)} QEMU processes")
    root = f"root-{row['generation']}.qcow2"
    for machine in machines:
        if root not in machine.disks:
            disks = ", ".join(sorted(machine.disks)) or "none"
            yield Complaint(LOST, server.id, f"QEMU is to run {root}; the disks that it has open: {disks}")


def _actions_of(server: Expected, rows: Rows) -> Iterator[Complaint]:
    for action in rows.actions.get(server.id, []):
        name = f"{action['action']} {action['request_id']}"
        if action["finished_at"] is None:
            yield Complaint(STUCK, server.id, f"{name} has not ended")
        elif action["failed_step"] and not (action["message"] or "").startswith("Error: "):
            yield Complaint(STUCK, server.id, f"{name} failed and does not say why")
        for event in rows.events.get(action["id"], []):
            if event["finished_at"] is None or event["result"] is None:
                yield Complaint(STUCK, server.id, f"{event['name']} of {name} has no end")
    if server.request_id and not _last(server, rows):
        yield Complaint(LOST, server.id, f"there is no action {server.request_id}")


def _last(server: Expected, rows: Rows) -> dict[str, Any] | None:
    actions = (row for row in rows.actions.get(server.id, []) if row["request_id"] == server.request_id)
    return next(actions, None)


def _speech_of(server: Expected, host: Host, rows: Rows) -> Iterator[Complaint]:
    """Fresh lines only: what the console held before we came proves nothing."""
    said = host.said(server.id)
    if said is None:
        yield Complaint(LOST, server.id, "its guest says nothing")
        return
    if said not in server.systems:
        yield Complaint(LOST, server.id, f"its guest says {said!r}, which is none of its systems")
        return
    action = _last(server, rows)
    if action and action["finished_at"] and "to" in action["detail"] and (row := rows.servers.get(server.id)):
        failed = bool(action["message"])
        # A way back that failed may end on either system: its row says on which, and that it went wrong.
        stuck = failed and "; undo_" in action["message"]
        old = row["generation"] == action["detail"]["from"]
        if failed != old and not stuck:
            ending = "failed" if failed else "succeeded"
            yield Complaint(
                LOST, server.id, f"{action['action']} {ending}; generation {row['generation']} runs"
            )
        if old != (said == server.systems[0]):
            yield Complaint(
                LOST, server.id, f"its guest says {said!r}; generation {row['generation']} is another"
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--state", type=Path, required=True, help="state_path of the agent")
    parser.add_argument("--run", type=Path, required=True, help="run_path of the agent")
    parser.add_argument("--database", required=True, help="postgresql://… or a conninfo of libpq")
    parser.add_argument("--patience", type=float, default=20, help="seconds until a complaint is one")
    options = parser.parse_args()
    expected = [Expected(**server) for server in json.load(sys.stdin)["servers"]]
    host = Host(options.state, options.run)
    deadline = time.monotonic() + options.patience
    while True:
        time.sleep(LOOK_AGAIN)
        host.look()
        with psycopg.connect(options.database) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            complaints = check(expected, host, Rows.read(connection))
        if not complaints or time.monotonic() > deadline:
            break
    speaks = {server.id: host.said(server.id) for server in expected}
    print(json.dumps({"speaks": speaks, "complaints": [asdict(complaint) for complaint in complaints]}))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
