"""The run directory of one server's machine, {run_path}/servers/<server id>: closed to all but the agent."""

import os
import shutil
import socket as sockets
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from renova.agent.qemu.spec import MachineSpec
from renova.errors import RenovaError

# The chardevs that a machine has a socket for.
QMP = "qmp"
GUEST_AGENT = "qga"
SERIAL = "serial"
# The console's log.
CONSOLE = "console.log"
# Bytes of a C int: the kernel tells who a peer is as three of them, pid, uid and gid.
INT = 4


@dataclass(frozen=True)
class RunDirectory:
    """Paths of one machine. All but the console log goes when its QEMU process has gone."""

    path: Path

    @property
    def pid(self) -> Path:
        return self.path / "pid"

    @property
    def spec(self) -> Path:
        return self.path / "spec.json"

    @property
    def console(self) -> Path:
        return self.path / CONSOLE

    @property
    def errors(self) -> Path:
        """What QEMU itself writes to its standard output and error."""
        return self.path / "qemu.log"

    def socket(self, name: str) -> Path:
        return self.path / f"{name}.sock"

    def make(self) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def listen(self, name: str) -> sockets.socket:
        """A listening socket for QEMU to inherit. It can be connected to before QEMU is up.

        Raises RenovaError where the run directory's path is too long for one.
        """
        path = self.socket(name)
        path.unlink(missing_ok=True)
        listening = sockets.socket(sockets.AF_UNIX)
        try:
            listening.bind(str(path))
            listening.listen(1)
        except OSError as error:
            listening.close()
            raise RenovaError(f"The socket {path} can't be made: {error}") from error
        return listening

    def listener(self) -> int | None:
        """The pid of whoever listens on the machine's sockets; None where nobody does.

        The kernel says it, so an agent that was killed before it could write anything down leaves no QEMU
        that its successor can't find. The serial port is asked because it does not mind a visitor.
        """
        with sockets.socket(sockets.AF_UNIX) as visitor:
            visitor.setblocking(False)
            try:
                visitor.connect(str(self.socket(SERIAL)))
            except BlockingIOError:  # QEMU hangs: it has accepted none of the visitors before.
                with suppress(OSError, ValueError):
                    return int(self.pid.read_text())
                return None
            except OSError:
                return None
            credentials = visitor.getsockopt(sockets.SOL_SOCKET, sockets.SO_PEERCRED, 3 * INT)
            return int.from_bytes(credentials[:INT], sys.byteorder)

    def write_pid(self, pid: int) -> None:
        self.pid.write_text(f"{pid}\n")

    def read_spec(self) -> MachineSpec:
        """Raises RenovaError where the spec is missing or of an unknown form."""
        try:
            return MachineSpec.from_json(self.spec.read_text())
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise RenovaError(f"{self.spec} can't be read: {error}") from error

    def write_spec(self, spec: MachineSpec) -> None:
        """Whole or not at all: an agent may be killed at any instant and its successor reads this."""
        new = self.spec.with_suffix(".new")
        new.write_text(spec.to_json())
        new.replace(self.spec)

    def forget_spec(self) -> None:
        """Until another is written, nothing says what the machine is."""
        self.spec.unlink()

    def last_words(self) -> str:
        """The last line that QEMU wrote about itself, without the program's name; "" where it wrote none."""
        with suppress(OSError):
            lines = self.errors.read_text(errors="replace").strip().splitlines()
            if lines:
                return lines[-1].removeprefix("qemu-system-x86_64: ")
        return ""

    def clean(self) -> None:
        """Remove what belonged to a QEMU process that is gone."""
        with suppress(FileNotFoundError):
            for entry in os.scandir(self.path):
                if entry.name != self.console.name:
                    Path(entry).unlink(missing_ok=True)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def run_directories(servers: Path) -> Iterator[RunDirectory]:
    """Every run directory below {run_path}/servers."""
    with suppress(FileNotFoundError):
        yield from (RunDirectory(Path(entry)) for entry in os.scandir(servers) if entry.is_dir())
