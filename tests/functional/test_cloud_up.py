"""The life of one `renova up`: made, killed in parts, killed whole, stopped, brought up to date."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from renova.agent.networks import links
from renova.agent.networks.names import Names
from renova.cloud.state import State
from tests.functional.shared_cloud import LOCAL, RENOVA, free_port_offset, start_up, wait_until_ready
from tests.waiting import wait_until

SERVICES = ("postgres", "keystone", "glance", "api", "agent")


class Own:
    """A state directory, and the `renova up` that runs on it."""

    def __init__(self, home: Path) -> None:
        self.home, self.state = home, State(home / "state", free_port_offset())
        self.log = home / "up.log"
        (self.state.path / "local").mkdir(parents=True)
        self.state.path.chmod(0o711)
        (self.state.path / "local" / "keystone.conf").write_text(LOCAL["keystone"])

    def start(self) -> None:
        self.process = start_up(self.state.path, self.state.port_offset, self.log)
        wait_until_ready(self.state.path, self.process, self.log)

    def runs(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)

    def pid(self, service: str) -> int:
        return int(self.state.pid_file(service).read_text())

    def answers(self, service: str) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(self.state.url(service), timeout=5).status_code < 500
        return False


@pytest.fixture(scope="module")
def made() -> Iterator[Own]:
    home = Path(tempfile.mkdtemp(prefix="renova-"))
    home.chmod(0o711)
    made = Own(home)
    try:
        made.start()
        yield made
    finally:
        subprocess.run([*RENOVA, "down", "--state", str(made.state.path)], check=False, timeout=120)
        made.process.wait(60)
        shutil.rmtree(home)


@pytest.fixture
def own(made: Own) -> Own:
    """One that runs, whatever the test before has done to it."""
    if not made.runs():
        made.start()
    return made


def test_the_first_start_makes_everything_private(own: Own) -> None:
    for name in (
        "clouds.yaml",
        "renova.conf",
        "secrets/admin",
        "keystone/keystone.conf",
        "glance/glance-api.conf",
    ):
        assert (own.state.path / name).stat().st_mode & 0o077 == 0, name
    assert own.state.record == own.state.wanted_record()
    assert all(own.answers(service) for service in ("keystone", "glance", "api"))


def test_postgresql_runs_as_nobody_special_and_listens_on_no_port(own: Own) -> None:
    status = Path(f"/proc/{own.pid('postgres')}/status").read_text()
    assert ("Uid:\t0\t" in status) is False
    assert own.state.run_path.joinpath("postgres").stat().st_mode & 0o077 == 0


def test_postgresql_wants_a_password(own: Own) -> None:
    import psycopg

    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=str(own.state.run_path / "postgres"), user="postgres", password="guess")


def test_a_second_up_is_refused_and_harms_nothing(own: Own) -> None:
    command = [*RENOVA, "up", "--state", str(own.state.path)]
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert second.stderr == f"renova: another `renova up` is running on {own.state.path}\n"
    assert own.state.ready.exists()
    assert own.pid("up") == own.process.pid


@pytest.mark.parametrize("service", ["api", "keystone"])
def test_a_service_that_is_killed_is_started_again_and_that_is_said(own: Own, service: str) -> None:
    killed = own.pid(service)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: own.pid(service) != killed and own.answers(service), f"{service} answers again")
    assert f"renova: {service} was killed by signal 9; it is started again" in own.log.read_text()


def test_a_killed_database_comes_back_to_the_services(own: Own) -> None:
    killed = own.pid("postgres")
    os.kill(killed, signal.SIGKILL)
    token = {"auth": {"identity": {"methods": ["password"], "password": {"user": _demo(own)}}}}
    url = own.state.url("keystone") + "/v3/auth/tokens"
    wait_until(
        lambda: httpx.post(url, json=token, timeout=30).status_code == 201, "a token from the database"
    )
    assert own.pid("postgres") != killed


def test_up_that_is_killed_does_not_block_the_next(own: Own) -> None:
    before = {service: own.pid(service) for service in SERVICES}
    own.process.kill()
    own.process.wait()
    own.start()
    assert not any(_lives(pid) for pid in before.values())


def test_sigterm_ends_every_service_and_the_next_start_makes_nothing_again(own: Own) -> None:
    passwords = {file.name: file.read_text() for file in (own.state.path / "secrets").iterdir()}
    before = [own.pid(service) for service in SERVICES]
    assert own.stop() == 0
    assert not own.state.ready.exists()
    assert not any(_lives(pid) for pid in before)
    assert not list(own.state.path.glob("*.pid"))
    assert not own.state.run_path.exists()
    own.log.write_text("")
    own.start()
    assert "making what this version needs" not in own.log.read_text()
    assert passwords == {file.name: file.read_text() for file in (own.state.path / "secrets").iterdir()}


def test_an_older_state_on_other_ports_is_brought_up_to_date(own: Own) -> None:
    assert own.stop() == 0
    own.state.write_record({**own.state.record, "schema": "0000", "keystone": "29.0.0"})
    own.state = State(own.state.path, free_port_offset())
    own.start()
    assert own.state.record == own.state.wanted_record()
    scope = {"project": {"name": "demo", "domain": {"name": "Default"}}}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": _demo(own)}}, "scope": scope}}
    answer = httpx.post(own.state.url("keystone") + "/v3/auth/tokens", json=body, timeout=30).json()
    urls = {
        entry["name"]: {point["url"] for point in entry["endpoints"]} for entry in answer["token"]["catalog"]
    }
    assert urls == {
        "keystone": {own.state.url("keystone") + "/v3"},
        "glance": {own.state.url("glance")},
        "nova": {own.state.url("api") + "/v2.1"},
    }


def test_down_ends_it(own: Own) -> None:
    bridges = Names.of(own.state.run_path).bridges
    assert len(links.beginning_with(bridges)) == (1 if os.geteuid() == 0 else 0)
    down = subprocess.run([*RENOVA, "down", "--state", str(own.state.path)], check=False, timeout=120)
    assert down.returncode == 0
    assert own.process.wait(10) == 0
    assert not own.state.run_path.exists()
    assert links.beginning_with(bridges) == []


def _demo(own: Own) -> dict[str, object]:
    return {"name": "demo", "password": own.state.password("demo"), "domain": {"name": "Default"}}


def _lives(pid: int) -> bool:
    try:
        # What nobody has asked for its status yet is a zombie, not alive.
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
