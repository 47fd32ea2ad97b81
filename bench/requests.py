"""What the API takes for what clients ask most: one server, and a list with everything of 50 servers."""

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg

from bench.figures import Figures
from bench.servers import Servers

LISTED = 50
CLIENTS = 8
# The copies of a server stand on a host that no agent has, so nobody does anything about them.
COPY_SERVERS = """\
INSERT INTO servers
SELECT (jsonb_populate_record(s, jsonb_build_object(
    'id', format('00000000-0000-4000-8000-%%s', lpad(n::text, 12, '0')), 'host', 'nowhere'))).*
FROM servers s, generate_series(%s::int, %s::int) n WHERE s.id = %s
"""
COPY_PORTS = """\
INSERT INTO ports
SELECT (jsonb_populate_record(p, jsonb_build_object(
    'id', format('00000000-0000-4000-9000-%%s', lpad(n::text, 12, '0')),
    'server_id', format('00000000-0000-4000-8000-%%s', lpad(n::text, 12, '0')),
    'mac', format('fa:16:00:00:%%s:%%s', lpad(to_hex(n / 256), 2, '0'), lpad(to_hex(n %% 256), 2, '0')),
    'address', format('198.18.%%s.%%s', n / 256, n %% 256), 'ssh_port', null))).*
FROM ports p, generate_series(%s::int, %s::int) n WHERE p.server_id = %s
"""


def fill(database: psycopg.Connection, server_id: str, total: int) -> None:
    """The database holds so many servers: real ones, and copies of one."""
    row = database.execute("SELECT count(*) FROM servers WHERE deleted_at IS NULL").fetchone()
    assert row
    wanted = (row[0] + 1, total, server_id)
    database.execute(COPY_SERVERS, wanted)
    database.execute(COPY_PORTS, wanted)


def empty(database: psycopg.Connection) -> None:
    """The copies are gone."""
    database.execute("DELETE FROM ports WHERE server_id IN (SELECT id FROM servers WHERE host = 'nowhere')")
    database.execute("DELETE FROM servers WHERE host = 'nowhere'")


def measure(servers: Servers, figures: Figures, count: int, seconds: float) -> None:
    """`fill` comes first. `count` requests one after the other; so many seconds with 8 clients."""
    (guest,) = servers.make(1)
    connection = servers.connection()
    with figures.measuring("ms", "GET one server") as (one,):
        one.values += [connection.seconds("GET", f"/servers/{guest.id}") * 1000 for _ in range(count)]
    path = f"/servers/detail?limit={LISTED}"
    if len(connection.get(path)["servers"]) != LISTED:
        raise RuntimeError(f"the list has not {LISTED} servers")
    with figures.measuring("ms", f"GET detail of {LISTED} servers") as (many,):
        many.values += [connection.seconds("GET", path) * 1000 for _ in range(count)]
    connection.close()
    measure_rate(servers, figures, guest.id, CLIENTS, seconds)


def measure_rate(servers: Servers, figures: Figures, server_id: str, clients: int, seconds: float) -> None:
    """GET of one server by so many clients at once, each as soon as it is answered."""
    with figures.measuring("/s", f"GET one server, {_clients(clients)}") as (figure,):
        until = time.monotonic() + seconds

        def ask(_: int) -> int:
            connection = servers.connection()
            answers = 0
            while time.monotonic() < until:
                connection.call("GET", f"/servers/{server_id}")
                answers += 1
            connection.close()
            return answers

        with ThreadPoolExecutor(clients) as pool:
            figure.values.append(sum(pool.map(ask, range(clients))) / seconds)


def _clients(count: int) -> str:
    return f"{count} client{'s' if count > 1 else ''}"
