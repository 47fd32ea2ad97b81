"""A scratch host and a database with one sound server in it, made by hand: what the checker is shown."""

import struct
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.types.json import Jsonb

from chaos.checker import Complaint, Expected, check
from chaos.checker_host import Host
from chaos.checker_rows import Rows

OLD, NEW = "I am the old one", "I am the new one"
NOW = datetime(2026, 11, 27, tzinfo=UTC)
# Says that it is there, and holds its disks open until it is killed.
WAIT = "import sys; print('up', flush=True); sys.stdin.read()"
SYSTEM = {"hostname": "web", "image_id": "image-2", "name": "new", "disk_config": "MANUAL"}


class BrokenState:
    """A server that was rebuilt from generation 1 to 2, until something is broken."""

    def __init__(self, home: Path, connection: "psycopg.Connection[Any]") -> None:
        self.connection = connection
        self.state, self.run = home / "state", home / "run"
        self.id, self.action = str(uuid4()), str(uuid4())
        self.disks, self.run_directory = self.state / "servers" / self.id, self.run / "servers" / self.id
        self.processes: list[subprocess.Popen[bytes]] = []
        for directory in (self.state / "images", self.disks, self.run_directory):
            directory.mkdir(parents=True)
        (self.state / "images" / "base.raw").write_bytes(b"base")
        for number in (1, 2):
            self.write_root(f"root-{number}.qcow2")
            (self.disks / f"config-{number}.iso").write_bytes(b"drive")
        self.console = self.run_directory / "console.log"
        self.console.write_text(f"{NEW}\r\n")
        self._write_rows()
        self.start_qemu("root-2.qcow2")

    def write_root(self, name: str, base: str = "/elsewhere/base.raw") -> None:
        """A file with the header of a qcow2 overlay."""
        header = struct.pack(">4sIQI", b"QFI\xfb", 3, 20, len(base))
        (self.disks / name).write_bytes(header + base.encode())

    def start_qemu(self, *disks: str, server_id: str = "") -> "subprocess.Popen[bytes]":
        """A process that looks like QEMU from outside: its name, its run directory, its open disks."""
        files = [(self.disks / disk).open("rb") for disk in disks]
        run_directory = self.run / "servers" / (server_id or self.id)
        process = subprocess.Popen(
            ["qemu-system-x86_64", "-c", WAIT, f"{run_directory}/pid"],
            executable=sys.executable,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[file.fileno() for file in files],
        )
        assert process.stdout is not None
        process.stdout.readline()
        for file in files:
            file.close()
        self.processes.append(process)
        return process

    def end_processes(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()

    def sql(self, statement: str, *values: Any) -> None:
        self.connection.execute(statement.encode(), values)

    def insert(self, table: str, **values: Any) -> None:
        columns, marks = ", ".join(values), ", ".join(["%s"] * len(values))
        self.sql(f"INSERT INTO {table} ({columns}) VALUES ({marks})", *values.values())

    def check(self, says: str | None = NEW) -> list[str]:
        """What the checker complains of, when the guest says this now."""
        host = Host(self.state, self.run)
        if says:
            with self.console.open("a") as console:
                console.write(f"{says}\r\n")
        host.look()
        expected = Expected(self.id, [OLD, NEW], "req-1", "fa:16:3e:00:00:01 10.0.0.5")
        return [
            _words(complaint, self.id) for complaint in check([expected], host, Rows.read(self.connection))
        ]

    def check_for_nobody(self) -> list[str]:
        """What the checker complains of, when no server is expected at all."""
        host = Host(self.state, self.run)
        host.look()
        return [_words(complaint, self.id) for complaint in check([], host, Rows.read(self.connection))]

    def _write_rows(self) -> None:
        network = str(uuid4())
        self.insert(
            "servers",
            **{"id": self.id, "project_id": "p", "user_id": "u", "vm_state": "active", "host": "h"},
            **{"generation": 2, "flavor": Jsonb({}), "reservation_id": "r", **SYSTEM},
        )
        image = {"digest": "sha512:0", "disk_format": "raw", "size": 4, "prepared_at": NOW}
        old = {**SYSTEM, "image_id": "image-1", "name": "old"}
        self.insert("generations", server_id=self.id, number=1, **image, **old)
        self.insert("generations", server_id=self.id, number=2, **image, **SYSTEM)
        self.insert("networks", id=network, label="net", cidr="10.0.0.0/24")
        self.insert(
            "ports",
            **{"id": str(uuid4()), "server_id": self.id, "network_id": network},
            **{"mac": "fa:16:3e:00:00:01", "address": "10.0.0.5"},
        )
        self.insert(
            "actions",
            **{"id": self.action, "server_id": self.id, "action": "rebuild", "request_id": "req-1"},
            **{"user_id": "u", "project_id": "p", "host": "h", "finished_at": NOW},
            detail=Jsonb({"from": 1, "to": 2}),
        )
        self.insert("events", action_id=self.action, name="swap", host="h", finished_at=NOW, result="Success")


def _words(complaint: Complaint, server_id: str) -> str:
    server = "it" if complaint.server == server_id else complaint.server
    return f"{complaint.kind}: {server}: {complaint.what}"
