"""Servers that are rebuilt again and again, and the proof that each new guest speaks."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from bench.cloud import database
from bench.connection import Connection
from tests.functional.cloud_client import Client, Content
from tests.functional.shared_cloud import Cloud
from tests.guest.boot_sector import Then
from tests.waiting import wait_until

# Seconds between two looks of a client at its server: it is in every figure that ends with ACTIVE.
ASK_AGAIN = 0.004
# The same where several clients ask at once: together they would keep a core busy.
ASK_AGAIN_MANY = 0.1
LISTEN_AGAIN = 0.002
PATIENCE = 120.0


@dataclass(frozen=True)
class System:
    """An image, and what its guest says."""

    image_id: str
    marker: str


@dataclass
class Guest:
    """A server and the system that it has now."""

    id: str
    system: System


@dataclass(frozen=True)
class Rebuilt:
    """One rebuild, in milliseconds from before its request was sent."""

    accepted: float
    active: float
    request_id: str


@dataclass
class Servers:
    """What a member has on the cloud. Two systems: each rebuild goes from one to the other."""

    cloud: Cloud
    directory: Path
    guests: list[Guest] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = Client(self.cloud, self.directory)
        self.systems = [self.system(f"bench system {letter}") for letter in "AB"]

    def system(self, marker: str, data: Content | None = None, **properties: str) -> System:
        return System(self.client.image(marker, Then.HALT, data, **properties), marker)

    def connection(self, name: str = "renova") -> Connection:
        return Connection(self.cloud.compute_url, self.cloud.token(name))

    def make(self, count: int) -> list[Guest]:
        """So many servers that have spoken, new ones where there are too few."""
        while len(self.guests) < count:
            server_id = self.client.new(self.systems[0].image_id)
            self.guests.append(Guest(server_id, self.systems[0]))
        for guest in self.guests[:count]:
            self.listen(guest)
        return self.guests[:count]

    def other(self, guest: Guest) -> System:
        return self.systems[self.systems[0] is guest.system]

    def rebuild(
        self, connection: Connection, guest: Guest, system: System, ask_again: float = ASK_AGAIN
    ) -> Rebuilt:
        """Until ACTIVE. Whoever counts it listens to the guest too, or the figure is void."""
        body = {"rebuild": {"imageRef": system.image_id}}
        begun = time.monotonic()
        _, request_id = connection.call("POST", f"/servers/{guest.id}/action", body)
        accepted = time.monotonic()
        while True:
            shown = connection.get(f"/servers/{guest.id}")["server"]
            if shown["status"] == "ACTIVE" and shown["OS-EXT-STS:task_state"] is None:
                break
            if shown["status"] == "ERROR" or time.monotonic() > begun + PATIENCE:
                raise RuntimeError(f"a rebuild did not end well: {shown}")
            time.sleep(ask_again)
        active = time.monotonic()
        if "fault" in shown:
            raise RuntimeError(f"a rebuild failed: {shown['fault']}")
        guest.system = system
        return Rebuilt((accepted - begun) * 1000, (active - begun) * 1000, request_id)

    def listen(self, guest: Guest) -> float:
        """When the guest's system had said its marker. The log of its console begins with its boot."""
        console = self.cloud.state.run_path / "servers" / guest.id / "console.log"
        marker = guest.system.marker.encode()
        deadline = time.monotonic() + PATIENCE
        while marker not in console.read_bytes():
            if time.monotonic() > deadline:
                raise RuntimeError(f"the new guest of {guest.id} did not speak: the run is void")
            time.sleep(LISTEN_AGAIN)
        return time.monotonic()

    def off_air(self, admin: Connection, guest: Guest, rebuilt: Rebuilt) -> float:
        """Milliseconds from the stop of the old guest to the start of the new one, as its event says."""
        action = admin.get(f"/servers/{guest.id}/os-instance-actions/{rebuilt.request_id}")
        (event,) = (e for e in action["instanceAction"]["events"] if e["event"] == "start_guest")
        found = re.search(r"off the air for ([\d.]+) ms", event["details"] or "")
        if not found:
            raise RuntimeError(f"the event does not tell how long: {event}")
        return float(found[1])

    def rebuild_all(self, guests: list[Guest], clients: int) -> tuple[float, float]:
        """Each client rebuilds its servers one after the other. Rebuilds per second until the last is ACTIVE,
        and until the last new guest has spoken.
        """

        def drive(own: list[Guest]) -> tuple[float, float]:
            connection = self.connection()
            try:
                for guest in own:
                    self.rebuild(connection, guest, self.other(guest), ASK_AGAIN_MANY)
                active = time.monotonic()
                return active, max(self.listen(guest) for guest in own)
            finally:
                connection.close()

        self.await_rest()
        begun = time.monotonic()
        with ThreadPoolExecutor(clients) as pool:
            ends = list(pool.map(drive, [guests[n::clients] for n in range(clients)]))
        active, spoke = (max(end[i] for end in ends) for i in range(2))
        return len(guests) / (active - begun), len(guests) / (spoke - begun)

    def await_rest(self) -> None:
        """Nothing is under way any more: what tidies up after a rebuild has ended too."""
        with database(self.cloud) as rows:
            wait_until(
                lambda: not rows.execute("SELECT 1 FROM actions WHERE finished_at IS NULL").fetchone(),
                "every action has ended",
            )
