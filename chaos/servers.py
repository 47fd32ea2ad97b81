"""The servers that things happen to, and their owner's view and deeds."""

import itertools
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from chaos import processes
from chaos.cloud import ChaosCloud
from tests.functional.cloud_client import Client
from tests.functional.shared_cloud import Cloud
from tests.guest.boot_sector import Then
from tests.waiting import wait_until

# What an operation may take, with the sweep of the agent every 30 s and a slow machine in it.
PATIENCE = 120.0


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

    def image(self, then: Then = Then.REPEAT) -> tuple[str, str]:
        """A new system that says who it is, for ever: (image id, what it says)"""
        marker = f"this is system {next(self._numbers)}"
        return self.client.image(marker, then), marker

    def create(self, count: int) -> list[Guest]:
        image_id, marker = self.image()
        for _ in range(count):
            server_id = self.client.new(image_id)
            (port,) = self.cloud.query("SELECT mac, address FROM ports WHERE server_id = %s", server_id)
            self.guests.append(Guest(server_id, marker, f"{port['mac']} {port['address']}"))
        return self.guests[-count:]

    def ask(self, guest: Guest, operation: str, then: Then = Then.REPEAT) -> None:
        """Ask for a rebuild or for its undo."""
        if operation == "rebuild":
            image_id, guest.wanted = self.image(then)
            body: dict[str, Any] | None = {"imageRef": image_id, "name": guest.wanted}
        else:
            assert guest.previous is not None
            body, guest.wanted = None, guest.previous
        answer = self.client.act(guest.id, operation, body)
        answer.raise_for_status()
        guest.request_id = answer.headers["x-openstack-request-id"]

    def wait(self, guest: Guest, seconds: float = PATIENCE) -> dict[str, Any] | None:
        """The action's row once it has ended; None if it does not."""
        statement = "SELECT * FROM actions WHERE server_id = %s AND request_id = %s"
        found: list[dict[str, Any]] = []

        def ended() -> bool:
            found[:] = self.cloud.query(statement, guest.id, guest.request_id)
            return found[0]["finished_at"] is not None

        try:
            wait_until(ended, "the action has ended", seconds)
        except AssertionError:
            return None
        return found[0]

    def revive(self, guest: Guest) -> str:
        """What an owner does for a server that is off or in ERROR, in words; "" where there is no need."""
        with suppress(AssertionError):  # The checker will say so.
            wait_until(lambda: self._is_at_rest(guest), "the status says what is so", 30)
        status = self.client.show(guest.id)["status"]
        if status not in ("SHUTOFF", "ERROR"):
            return ""
        name, body = ("os-start", None) if status == "SHUTOFF" else ("reboot", {"type": "HARD"})
        self.client.act(guest.id, name, body).raise_for_status()
        with suppress(AssertionError):
            wait_until(lambda: self._is_at_rest(guest), "the server runs again", 30)
        return f"{status}, {name}"

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
