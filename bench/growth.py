"""How cost grows: with the servers in the database, with the clients at once, with the size of an image."""

from collections.abc import Iterator, Sequence
from uuid import uuid4

from bench import requests
from bench.cloud import database
from bench.figures import Figures
from bench.servers import Guest, Servers
from tests.guest.boot_sector import boot_sector

MIB = 1024**2
CHUNK = 4 * MIB


def with_rows(servers: Servers, figures: Figures, totals: Sequence[int], count: int) -> None:
    """GET and POST rebuild of a real server among so many rows of servers that no agent has."""
    (guest,) = servers.make(1)
    connection = servers.connection()
    with database(servers.cloud) as rows:
        for total in totals:
            requests.fill(rows, guest.id, total)
            names = ("GET one server", f"GET detail of {requests.LISTED} servers", "POST rebuild")
            label = f"among {total} servers"
            with figures.measuring("ms", *(f"{name}, {label}" for name in names)) as (one, many, post):
                for _ in range(count):
                    one.values.append(connection.seconds("GET", f"/servers/{guest.id}") * 1000)
                    path = f"/servers/detail?limit={requests.LISTED}"
                    many.values.append(connection.seconds("GET", path) * 1000)
                    post.values.append(servers.rebuild(connection, guest, servers.other(guest)).accepted)
                    servers.listen(guest)
        requests.empty(rows)
    connection.close()


def with_clients(servers: Servers, figures: Figures, counts: Sequence[int], seconds: float) -> None:
    """GET of one server, and rebuilds of as many servers as the most clients."""
    guests = servers.make(max(counts))
    for clients in counts:
        requests.measure_rate(servers, figures, guests[0].id, clients, seconds)
        label = f"servers rebuilt, {clients} client{'s' if clients > 1 else ''}"
        with figures.measuring("/s", f"{label}, to ACTIVE", f"{label}, to words") as (active, words):
            to_active, to_words = servers.rebuild_all(guests, clients)
            active.values.append(to_active)
            words.values.append(to_words)


def with_images(servers: Servers, figures: Figures, sizes: Sequence[int]) -> None:
    """POST to ACTIVE with raw images of so many MiB, nearly all of it zeros, that the host does not have and
    then has.
    """
    guest = Guest(servers.client.new(servers.systems[0].image_id, flavor="3"), servers.systems[0])
    connection = servers.connection()
    for size in sizes:
        marker = f"{size} MiB {uuid4()}"
        system = servers.system(marker, _raw(marker, size), disk_format="raw")
        for state in ("cold", "cached"):
            with figures.measuring("ms", f"POST to ACTIVE, image of {size} MiB, {state}") as (figure,):
                figure.values.append(servers.rebuild(connection, guest, system).active)
            servers.listen(guest)
            servers.rebuild(connection, guest, servers.systems[0])
            servers.listen(guest)
    connection.close()


def _raw(marker: str, size: int) -> Iterator[bytes]:
    """A disk of so many MiB that boots, piece by piece."""
    sector = boot_sector(marker)
    yield sector + bytes(CHUNK - len(sector))
    for _ in range(size * MIB // CHUNK - 1):
        yield bytes(CHUNK)
