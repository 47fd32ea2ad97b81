"""What the checker reads of the database, by plain SQL."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import psycopg
from psycopg.rows import dict_row

Row = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """Everything at one moment. Ports are "mac address"."""

    servers: dict[str, Row]
    generations: dict[str, dict[int, Row]]
    actions: dict[str, list[Row]]
    events: dict[str, list[Row]]
    ports: dict[str, list[str]]
    jobs: list[Row]

    @classmethod
    def read(cls, connection: "psycopg.Connection[Any]") -> Self:
        cursor = connection.cursor(row_factory=dict_row)

        def rows(statement: str) -> list[Row]:
            # Every statement is one of those below.
            return cursor.execute(statement.encode()).fetchall()

        generations: defaultdict[str, dict[int, Row]] = defaultdict(dict)
        for row in rows("SELECT server_id, number, image_id, name, prepared_at FROM generations"):
            generations[row["server_id"]][row["number"]] = row
        ports: defaultdict[str, list[str]] = defaultdict(list)
        for row in rows("SELECT server_id, mac, address FROM ports ORDER BY position"):
            ports[row["server_id"]].append(f"{row['mac']} {row['address']}")
        return cls(
            servers={row["id"]: row for row in rows("SELECT * FROM servers")},
            generations=dict(generations),
            actions=_by("server_id", rows("SELECT * FROM actions ORDER BY started_at")),
            events=_by("action_id", rows("SELECT * FROM events ORDER BY id")),
            ports=dict(ports),
            jobs=rows("SELECT task_name, status::text FROM procrastinate_jobs"),
        )

    def living(self) -> list[str]:
        """Servers that count against a quota."""
        return [server_id for server_id, row in self.servers.items() if row["deleted_at"] is None]


def _by(column: str, rows: Iterable[Row]) -> dict[str, list[Row]]:
    sorted_by: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        sorted_by[row[column]].append(row)
    return dict(sorted_by)
