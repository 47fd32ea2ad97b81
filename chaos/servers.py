"""The servers that things happen to, and their owner's view and deeds."""

import itertools
import time
from contextlib import suppress
from dataclasses import dataclass, field
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
    previous: str | None = None
    wanted: str = ""
    request_id: str = ""


@dataclass
class Owner:
    """Who asks for everything, over HTTP."""

    cloud: ChaosCloud
    guests: list[Guest] = field(default_factory=list)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count, init=False)

    def __post_init__(self) -> None:
        self.client = Client(Cloud(self.cloud.state), self.cloud.home)

    def image(self, then: Then = Then.REPEAT) -> System:
        """A new system that says who it is, for ever."""
        marker = f"this is system {next(self._numbers)}"
        return self.client.image(marker, then), marker

    def create(self, count: int) -> list[Guest]:
        image_id, marker = self.image()
        for _ in range(count):
            server_id = self.client.new(image_id)
            (port,) = self.cloud.query("SELECT mac, address FROM ports WHERE server_id = %s", server_id)
            self.guests.append(Guest(server_id, marker, f"{port['mac']} {port['address']}"))
        return self.guests[-count:]

    def ask(self, guest: Guest, operation: str, system: System | None = None) -> None:
        """Ask for a rebuild, with a system of its own unless one is given, or for its undo."""
        if operation == "rebuild":
            image_id, guest.wanted = system or self.image()
            body: dict[str, Any] | None = {"imageRef": image_id, "name": guest.wanted}
        else:
            assert guest.previous is not None
            body, guest.wanted = None, guest.previous
        answer = self.client.act(guest.id, operation, body)
        answer.raise_for_status()
        guest.request_id = answer.headers["x-openstack-request-id"]

    def await_ends(self, guests: list[Guest], seconds: float = PATIENCE) -> dict[str, End]:
        """What became of the actions that were asked for last, by server. One that does not end is not in
        it.
        """
        begun = time.monotonic()
        ends: dict[str, End] = {}
        wanted = [guest.request_id for guest in guests]
        statement = (
            "SELECT server_id, message FROM actions WHERE request_id = ANY(%s) AND finished_at IS NOT NULL"
        )

        def ended() -> bool:
            for row in self.cloud.query(statement, wanted):
                if row["server_id"] not in ends:
                    end = End(row["message"] or "Success", time.monotonic() - begun)
                    ends[row["server_id"]] = end
            return len(ends) == len(guests)

        with suppress(AssertionError):  # The checker says which has not ended.
            wait_until(ended, "every action has ended", seconds)
        return ends

    def revive(self, guests: list[Guest]) -> dict[str, str]:
        """What an owner does for servers that are off or in ERROR, in words; "" where there is no need."""
        done = {}
        self._await_rest(guests)
        for guest in guests:
            status = self.client.show(guest.id)["status"]
            name, body = {"SHUTOFF": ("os-start", None), "ERROR": ("reboot", {"type": "HARD"})}.get(
                status, ("", None)
            )
            if name:
                self.client.act(guest.id, name, body).raise_for_status()
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
        return shown["OS-EXT-STS:task_state"] is None and runs == (shown["status"] == "ACTIVE")

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
