"""What the checker sees of a host: files, processes, mounts, and what guests print."""

import os
import re
import struct
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

# What stays in a run directory when its QEMU has gone.
CONSOLE = "console.log"
QEMU = b"qemu-system"
HELPERS = {"qemu-img", "cp"}


@dataclass(frozen=True)
class Machine:
    """A QEMU process, and the names of the files in its server's directory that it has open."""

    pid: int
    disks: frozenset[str]


@dataclass
class Host:
    """`state` and `run` are the agent's state_path and run_path. `look` before anything else."""

    state: Path
    run: Path
    disks: dict[str, set[str]] = field(default_factory=dict, init=False)
    machines: dict[str, list[Machine]] = field(default_factory=dict, init=False)
    _consoles: dict[Path, "_Console"] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.state, self.run = self.state.resolve(), self.run.resolve()
        self._listen()

    def look(self) -> None:
        """See what is there now, and what guests have said since the last time."""
        self.disks = {
            directory.name: {entry.name for entry in directory.iterdir()}
            for directory in self.state.glob("servers/*")
        }
        machines: defaultdict[str, list[Machine]] = defaultdict(list)
        ours = re.compile(re.escape(os.fsencode(self.run / "servers")) + rb"/([^/\0,]+)")
        for pid, command in _processes():
            if QEMU in command.partition(b"\0")[0] and (named := ours.search(command)):
                server_id = named[1].decode()
                machines[server_id].append(Machine(pid, self._open_disks(pid, server_id)))
        self.machines = dict(machines)
        self._listen()

    def said(self, server_id: str) -> str | None:
        """The last whole line that a guest has said since this object was made."""
        console = self._consoles.get(self.run / "servers" / server_id / CONSOLE)
        return console.last if console else None

    def run_directories(self) -> list[str]:
        return [directory.name for directory in self.run.glob("servers/*")]

    def leavings(self, server_id: str) -> list[str]:
        """Sockets, pid file and the like of a server's QEMU."""
        directory = self.run / "servers" / server_id
        return sorted(entry.name for entry in directory.glob("*") if entry.name != CONSOLE)

    def parts(self) -> list[Path]:
        return sorted([*self.state.rglob("*.part"), *self.run.rglob("*.new")])

    def mounts(self) -> list[str]:
        """Mount points below our directories, which are themselves somebody else's affair."""
        mounted = (line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines())
        return [place for place in mounted if {self.state, self.run} & set(Path(place).parents)]

    def helpers(self) -> list[str]:
        """Programs that still work on a disk of ours."""
        return [
            command.replace(b"\0", b" ").decode(errors="replace")
            for _, command in _processes()
            if os.fsencode(self.state) in command
            and Path(os.fsdecode(command.partition(b"\0")[0])).name in HELPERS
        ]

    def has_base(self, server_id: str, name: str) -> bool:
        """Whether a file is a qcow2 over a file of the image cache (docs/interop/qcow2.txt of QEMU)."""
        disk = self.state / "servers" / server_id / name
        with suppress(OSError, ValueError, struct.error), disk.open("rb") as file:
            magic, _, start, length = struct.unpack(">4sIQI", file.read(20))
            file.seek(start)
            base = Path(file.read(length).decode()).name
            return bool(magic == b"QFI\xfb" and base and (self.state / "images" / base).is_file())
        return False

    def _open_disks(self, pid: int, server_id: str) -> frozenset[str]:
        directory = self.state / "servers" / server_id
        files = set()
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            with suppress(OSError):
                target = link.readlink()
                if target.parent == directory:
                    files.add(target.name)
        return frozenset(files)

    def _listen(self) -> None:
        for path in self.run.glob(f"servers/*/{CONSOLE}"):
            with suppress(FileNotFoundError):
                if path in self._consoles:
                    self._consoles[path].read()
                else:
                    self._consoles[path] = _Console(path)


class _Console:
    """A console log from now on. One that is cut, or begun anew, is read from its new beginning."""

    def __init__(self, path: Path) -> None:
        self.last: str | None = None
        self._path, self._read = path, path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, self._read - 1))
            # In the midst of a line: what is still to come of it is not a fresh one.
            self._begun = "?" if file.read(1) not in (b"", b"\n") else ""

    def read(self) -> None:
        with self._path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < self._read:
                self._read, self._begun = 0, ""
            file.seek(self._read)
            text = file.read()
        self._read += len(text)
        *lines, self._begun = (self._begun + text.decode(errors="replace")).split("\n")
        whole = [line.strip() for line in lines if line.strip() and not line.startswith("?")]
        if whole:
            self.last = whole[-1]


def _processes() -> list[tuple[int, bytes]]:
    """(pid, command line) of every process that is not dead."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if command := (directory / "cmdline").read_bytes():
                found.append((int(directory.name), command))
    return found
