"""The servers that things happen to, and their owner's view and deeds."""

import itertools
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from chaos import processes
from chaos.cloud import ChaosCloud
from tests.functional.cloud_client import Client
from tests.functional.shared_cloud import Cloud
from tests.guest.boot_sector import Then
from tests.waiting import wait_until

# What an operation may take, with the sweep of the agent every 30 s and a slow machine in it.
PATIENCE = 120.0
# What brings a server back, by its status. ERROR is where an undo has failed: it is asked for once more.
REMEDIES = {"SHUTOFF": "os-start", "ERROR": "undoRebuild"}
# An image's id, and what its system says.
System = tuple[str, str]


@dataclass(frozen=True)
class End:
    """How an action ended, and how long that took, in seconds."""

    result: str
    seconds: float


@dataclass
class Guest:
    """A server, by what its systems say. `wanted` is what the operation under way puts there."""

    id: str
    now: str
    address: str
    wanted: str = ""
    request_id: str = ""


@dataclass
class Owner:
    """Who asks for everything, over HTTP."""

    cloud: ChaosCloud
    guests: list[Guest] = field(default_factory=list)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count, init=False)
    _says: dict[str, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.client = Client(Cloud(self.cloud.state), self.cloud.home)

    def image(self, then: Then = Then.REPEAT) -> System:
        """A new system that says who it is, for ever."""
        marker = f"this is system {next(self._numbers)}"
        image_id = self.client.image(marker, then)
        self._says[image_id] = marker
        return image_id, marker

    def create(self, count: int) -> None:
        image_id, marker = self.image()
        for _ in range(count):
            server_id = self.client.new(image_id)
            (port,) = self.cloud.query("SELECT mac, address FROM ports WHERE server_id = %s", server_id)
            self.guests.append(Guest(server_id, marker, f"{port['mac']} {port['address']}"))

    def previous(self, guest: Guest) -> str | None:
        """What the system says that an undo would bring back."""
        rows = self.cloud.query(
            "SELECT g.image_id FROM generations g JOIN servers s ON s.id = g.server_id"
            " WHERE s.id = %s AND g.number <> s.generation AND g.superseded_at IS NOT NULL"
            " ORDER BY g.superseded_at DESC LIMIT 1",
            guest.id,
        )
        return self._says[rows[0]["image_id"]] if rows else None

    def ask(self, guest: Guest, operation: str, system: System | None = None) -> None:
        """Ask for a rebuild, with a system of its own unless one is given, or for its undo."""
        if operation == "rebuild":
            image_id, guest.wanted = system or self.image()
            body: dict[str, Any] | None = {"imageRef": image_id, "name": guest.wanted}
        else:
            body, guest.wanted = None, self.previous(guest) or ""
        answer = self.client.act(guest.id, operation, body)
        answer.raise_for_status()
        guest.request_id = answer.headers["x-openstack-request-id"]

    def await_ends(self, guests: list[Guest], since: datetime | None = None) -> dict[str, End]:
        """What became of the actions that were asked for last, by server; one that does not end is not in it.

        Their seconds are counted from `since`, or from when they were asked for.
        """
        ends: dict[str, End] = {}
        wanted = [guest.request_id for guest in guests]
        statement = (
            "SELECT server_id, message, started_at, finished_at FROM actions"
            " WHERE request_id = ANY(%s) AND finished_at IS NOT NULL"
        )

        def ended() -> bool:
            for row in self.cloud.query(statement, wanted):
                took = row["finished_at"] - (since or row["started_at"])
                ends[row["server_id"]] = End(row["message"] or "Success", took.total_seconds())
            return len(ends) == len(guests)

        with suppress(AssertionError):  # The checker says which has not ended.
            wait_until(ended, "every action has ended", PATIENCE)
        return ends

    def revive(self, guests: list[Guest]) -> dict[str, str]:
        """What an owner does for servers that are off or in ERROR, in words; "" where there is no need."""
        done = {}
        self._await_rest(guests)
        for guest in guests:
            status = self.client.show(guest.id)["status"]
            name = REMEDIES.get(status, "")
            if name:
                self.client.act(guest.id, name).raise_for_status()
            done[guest.id] = f"{status}, {name}" if name else ""
        self._await_rest([guest for guest in guests if done[guest.id]])
        return done

    def _await_rest(self, guests: list[Guest]) -> None:
        """A guest that has just been killed is ACTIVE until its agent has noticed."""
        for guest in guests:
            with suppress(AssertionError):  # The checker says what is not so.
                wait_until(partial(self._is_at_rest, guest), "its status says what is so", 30)

    def _is_at_rest(self, guest: Guest) -> bool:
        shown = self.client.show(guest.id)
        runs = bool(processes.machines(self.cloud.state.run_path, guest.id))
        so = shown["status"] == "ERROR" or runs == (shown["status"] == "ACTIVE")
        return so and shown["OS-EXT-STS:task_state"] is None

    def abandon(self, guest: Guest) -> None:
        """Delete a server that something is wrong with, so that what follows begins with a sound one."""
        self.guests.remove(guest)
        self.client.servers.remove(guest.id)
        self.client.call("DELETE", f"/servers/{guest.id}")
        with suppress(AssertionError):
            wait_until(lambda: self.client.is_gone(guest.id), "it is deleted", 60)

    def close(self) -> None:
        """Delete all of it, as an owner does."""
        self.client.close()
