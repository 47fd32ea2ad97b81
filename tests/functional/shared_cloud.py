"""A whole cloud, started once for a run of the tests by the real `renova up` and shared by every worker."""

import fcntl
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import yaml

from renova.cloud.state import PORTS, State

# Cheap passwords, room for many servers, and little patience with guests that can't power themselves off.
LOCAL = {
    "keystone": "[identity]\npassword_hash_rounds = 4\n",
    # A guest of one boot sector has no partition table.
    "glance": "[image_format]\ngpt_safety_checks_nonfatal = mbr\n",
    "renova": """\
[compute]
accelerator = tcg
shutdown_timeout = 5
[agent]
reserve_mb = 64
[rebuild]
settle = 2
agent_timeout = 30
[quota]
instances = 100
cores = 200
""",
}
PATIENCE = 120.0


@dataclass(frozen=True)
class Cloud:
    """A running cloud. The names of `token` are those of clouds.yaml: renova, renova-admin, renova-reader."""

    state: State
    _tokens: dict[str, httpx.Response] = field(default_factory=dict)

    @property
    def clouds_yaml(self) -> Path:
        return self.state.path / "clouds.yaml"

    @property
    def identity_url(self) -> str:
        return self.state.url("keystone") + "/v3"

    @property
    def image_url(self) -> str:
        return self.state.url("glance")

    @property
    def compute_url(self) -> str:
        return self.state.url("api") + "/v2.1"

    def token(self, name: str = "renova") -> str:
        """A token of one of the users of clouds.yaml."""
        return self._authenticated(name).headers["X-Subject-Token"]

    def project_id(self, name: str = "renova") -> str:
        project_id: str = self._authenticated(name).json()["token"]["project"]["id"]
        return project_id

    def log(self, service: str) -> str:
        """What a service has said: postgres, keystone, glance, api or agent."""
        return self.state.log(service).read_text(errors="replace")

    def _authenticated(self, name: str) -> httpx.Response:
        if name not in self._tokens:
            auth = yaml.safe_load(self.clouds_yaml.read_text())["clouds"][name]["auth"]
            domain = {"name": auth["user_domain_name"]}
            user = {"name": auth["username"], "password": auth["password"], "domain": domain}
            identity = {"methods": ["password"], "password": {"user": user}}
            scope = {"project": {"name": auth["project_name"], "domain": domain}}
            body = {"auth": {"identity": identity, "scope": scope}}
            self._tokens[name] = httpx.post(f"{auth['auth_url']}/auth/tokens", json=body, timeout=30)
            self._tokens[name].raise_for_status()
        return self._tokens[name]


@contextmanager
def joined(home: Path) -> Iterator[Cloud]:
    """The cloud of a run, its files in `home`. Who comes first starts it, and stops it when all have left."""
    home.mkdir(mode=0o711, exist_ok=True)
    with (home / "lock").open("a") as lock, (home / "users").open("a") as users:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_SH)
        if not home.exists():  # It was taken down while we waited.
            with joined(home) as cloud:
                yield cloud
            return
        process = None if (home / "offset").exists() else _start(home)
        fcntl.flock(lock, fcntl.LOCK_UN)
        yield Cloud(State((home / "state").resolve(), int((home / "offset").read_text())))
        if process is not None:
            fcntl.flock(users, fcntl.LOCK_EX)
            _stop(home, process)


@contextmanager
def running(state: State, log: Path, profile: str = "noa") -> Iterator[Cloud]:
    """A cloud of one's own with the settings of these tests, and this profile."""
    local = state.path / "local"
    local.mkdir(mode=0o711, parents=True, exist_ok=True)
    state.path.chmod(0o711)
    for name, text in LOCAL.items():
        (local / f"{name}.conf").write_text(text)
    with (local / "renova.conf").open("a") as conf:
        conf.write(f"[compute]\nprofile = {profile}\n")
    process = start_up(state.path, state.port_offset, log)
    try:
        wait_until_ready(state.path, process, log)
        yield Cloud(state)
    finally:
        subprocess.run([*RENOVA, "down", "--state", str(state.path)], check=False)
        process.wait()


def _start(home: Path) -> subprocess.Popen[str]:
    offset = free_port_offset()
    (home / "offset").write_text(str(offset))
    (home / "state" / "local").mkdir(parents=True)
    (home / "state").chmod(0o711)
    for name, text in LOCAL.items():
        (home / "state" / "local" / f"{name}.conf").write_text(text)
    process = start_up(home / "state", offset, home / "up.log")
    try:
        wait_until_ready(home / "state", process, home / "up.log")
    except BaseException:
        _stop(home, process)
        raise
    return process


def _stop(home: Path, process: subprocess.Popen[str]) -> None:
    stop(home / "state", process)
    shutil.rmtree(home)


def stop(state: Path, process: subprocess.Popen[str]) -> None:
    """`renova down`, which ends the virtual machines too."""
    subprocess.run([*RENOVA, "down", "--state", str(state)], check=False, capture_output=True)
    process.wait(PATIENCE)


RENOVA = (sys.executable, "-m", "renova.cli")


def start_up(state: Path, port_offset: int, log: Path) -> subprocess.Popen[str]:
    """`renova up`, which ends when we do, whatever happens to us."""
    command = [*RENOVA, "up", "--state", str(state), "--port-offset", str(port_offset)]
    with log.open("a") as output:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command], stdout=output, stderr=output, text=True
        )


def wait_until_ready(state: Path, process: subprocess.Popen[str], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while _ready_pid(state) != process.pid:
        assert process.poll() is None, f"renova up ended:\n{log.read_text()}"
        assert time.monotonic() < deadline, f"renova up is not ready after {PATIENCE} s:\n{log.read_text()}"
        time.sleep(0.05)


def _ready_pid(state: Path) -> int | None:
    """Whose `ready` it is. After a kill, the one that was killed has left its own for a moment."""
    try:
        return int((state / "ready").read_text() or 0)
    except FileNotFoundError:
        return None


def free_port_offset() -> int:
    """An offset whose ports nobody listens on, below those that the kernel gives to outgoing connections."""
    numbers = random.SystemRandom()
    while True:
        offset = numbers.randrange(1000, 23000)
        if all(_is_free(port + offset) for port in PORTS.values()):
            return offset


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass(frozen=True)
class Logs:
    """What the API, the agent and the guests say from now on, for the report of a test that fails."""

    cloud: Cloud
    begun: dict[Path, int]

    @classmethod
    def from_now(cls, cloud: Cloud) -> "Logs":
        return cls(cloud, {file: file.stat().st_size for file in _logs(cloud)})

    def said(self) -> Iterator[tuple[str, str]]:
        """(file, at most the last 8 KiB of what was added to it)"""
        for file in _logs(self.cloud):
            with file.open("rb") as log:
                begin = self.begun.get(file, 0)
                log.seek(max(begin, os.fstat(log.fileno()).st_size - 8192))
                if text := log.read().decode(errors="replace"):
                    yield str(file), text


def _logs(cloud: Cloud) -> list[Path]:
    consoles = sorted(cloud.state.run_path.glob("servers/*/console.log"))
    return [log for log in (cloud.state.log("api"), cloud.state.log("agent"), *consoles) if log.exists()]
