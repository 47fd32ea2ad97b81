"""The state directory of `renova up`: what lies where in it, whose it is, and which code made it."""

import fcntl
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from renova.cloud import passwords
from renova.cloud.errors import CloudError
from renova.db import upgrade

# Raised when what lies in a state directory changes so that older code would misread it.
LAYOUT = 1
PORTS = {"keystone": 5000, "glance": 9292, "api": 8774}


@dataclass(frozen=True)
class State:
    """A state directory and the ports that its services listen on. `path` is absolute."""

    path: Path
    port_offset: int = 0

    @property
    def ports(self) -> dict[str, int]:
        return {name: port + self.port_offset for name, port in PORTS.items()}

    def url(self, service: str) -> str:
        """Where a service listens: http://127.0.0.1:PORT"""
        return f"http://127.0.0.1:{self.ports[service]}"

    def password(self, name: str) -> str:
        return self.password_file(name).read_text().strip()

    def password_file(self, name: str) -> Path:
        return self.path / "secrets" / name

    def log(self, service: str) -> Path:
        return self.path / "logs" / f"{service}.log"

    def pid_file(self, service: str) -> Path:
        return self.path / f"{service}.pid"

    @property
    def conf(self) -> Path:
        """The configuration of the API and the agent."""
        return self.path / "renova.conf"

    @property
    def ready(self) -> Path:
        """There once every service answers, until the stop; it holds the process id of `renova up`."""
        return self.path / "ready"

    @cached_property
    def run_path(self) -> Path:
        """Where sockets live: short, since a unix socket's path is at most 108 bytes."""
        if os.geteuid() == 0:
            parent = Path("/run/renova")
        elif "XDG_RUNTIME_DIR" in os.environ:
            parent = Path(os.environ["XDG_RUNTIME_DIR"]) / "renova"
        else:
            parent = Path(f"/tmp/renova-{os.geteuid()}")  # noqa: S108  make_run_path() makes sure whose it is.
        return parent / hashlib.sha256(os.fsencode(self.path)).hexdigest()[:8]

    def database_url(self, name: str, driver: str) -> str:
        """URL of the database `name`, owned by the role of the same name."""
        password = self.password(f"database-{name}")
        return f"postgresql+{driver}://{name}:{password}@/{name}?host={self.run_path}/postgres"

    def with_local(self, service: str, text: str) -> str:
        """What we write for a service, then what an operator wrote to local/SERVICE.conf, which so wins."""
        local = self.path / "local" / f"{service}.conf"
        return f"{text}\n{local.read_text()}" if local.exists() else text

    def make(self) -> None:
        """Make the directory, or see that it is one of ours that this code understands. Raises CloudError."""
        try:
            self.path.mkdir(mode=0o711, parents=True, exist_ok=True)
            probe = self.path / ".writable"
            probe.touch()
            probe.unlink()
            if not self._record_file.exists():
                self._refuse_strangers()
                self.write_record({"layout": LAYOUT})
            self._refuse_newer()
            if lost := next((path for path in self._made() if not path.exists()), None):
                raise CloudError(f"{lost} is missing; restore it or begin with a new --state")
            for name in ("logs", "keystone", "glance"):
                (self.path / name).mkdir(mode=0o700, exist_ok=True)
            (self.path / "compute").mkdir(mode=0o711, exist_ok=True)
            passwords.make_all(self.path / "secrets")
        except OSError as error:
            raise CloudError(
                f"state directory {self.path} can't be used: {error.strerror or error}"
            ) from None

    def make_run_path(self) -> None:
        """Make the directory of the sockets and see that nobody else could have. Raises CloudError."""
        parent = self.run_path.parent
        try:
            self.run_path.mkdir(mode=0o711, parents=True, exist_ok=True)
            status = parent.lstat()
        except OSError as error:
            raise CloudError(f"run directory {self.run_path} can't be made: {error.strerror}") from None
        if status.st_uid != os.geteuid() or not stat.S_ISDIR(status.st_mode):
            raise CloudError(
                f"run directory {parent} belongs to somebody else; remove it or set XDG_RUNTIME_DIR"
            )
        parent.chmod(0o711)

    def clean_run_path(self) -> None:
        """Remove what services leave there. The directory stays for as long as virtual machines need it."""
        for service in ("postgres", "networks"):
            shutil.rmtree(self.run_path / service, ignore_errors=True)
        (self.run_path / "agent.sock").unlink(missing_ok=True)
        with suppress(OSError):
            (self.run_path / "servers").rmdir()
        with suppress(OSError):
            self.run_path.rmdir()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the state directory against a second `renova up`. Raises CloudError if it is held."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise CloudError(f"another `renova up` is running on {self.path}") from None
        finally:
            os.close(descriptor)

    @property
    def record(self) -> dict[str, Any]:
        """What the directory was last brought up to; `wanted_record()` if there is nothing to do."""
        record: dict[str, Any] = json.loads(self._record_file.read_text())
        return record

    def wanted_record(self) -> dict[str, Any]:
        packages = {name: version(name) for name in ("renova", "keystone", "glance")}
        return {"layout": LAYOUT, "schema": upgrade.head(), "port_offset": self.port_offset, **packages}

    def write_record(self, record: dict[str, Any]) -> None:
        passwords.write_private(self._record_file, json.dumps(record, indent=1) + "\n")

    @property
    def _record_file(self) -> Path:
        return self.path / "version"

    def _made(self) -> list[Path]:
        """What must be there by now, and would be made anew, and wrong, if it were not."""
        made = []
        if (self.path / "postgres").exists():
            made += [self.password_file(name) for name in passwords.NAMES]
        if self.record.keys() > {"layout"}:  # The set-up was done to its end once.
            keys = self.path / "keystone"
            made += [self.path / "postgres", keys / "fernet-keys" / "0", keys / "credential-keys" / "0"]
        return made

    def _refuse_strangers(self) -> None:
        others = [entry.name for entry in self.path.iterdir() if entry.name != "local"]
        if others:
            raise CloudError(
                f"{self.path} is not empty ({others[0]}) and no state of `renova up`; choose another"
            )

    def _refuse_newer(self) -> None:
        try:
            found, wanted = self.record, self.wanted_record()
        except (ValueError, OSError):
            raise CloudError(
                f"{self._record_file} can't be read; restore it or begin with a new --state"
            ) from None
        for name in ("layout", "schema", "keystone", "glance"):
            if _ordered(found.get(name, "")) > _ordered(wanted[name]):
                newer = f"{name} {found[name]}, here {wanted[name]}"
                raise CloudError(f"{self.path} was made by a newer Renova ({newer}); use that one")


def _ordered(text: object) -> list[int]:
    """'30.0.0' as something to compare; the digits are all that counts."""
    return [int("".join(filter(str.isdigit, part)) or 0) for part in str(text).split(".") if part]
