"""The checker is shown what it is there for: one broken state of each kind, and a sound one."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from renova.cloud.postgres import Postgres
from tests.chaos.broken_state import NEW, NOW, OLD, BrokenState

Break = Callable[[BrokenState], object]


@pytest.fixture(scope="module")
def conninfo(postgres: Postgres, template: str) -> Iterator[str]:
    """A database with our tables, as libpq is told of it."""
    postgres.execute(f"CREATE DATABASE checked TEMPLATE {template}")
    password = postgres.password_file.read_text()
    yield make_conninfo(host=str(postgres.sockets), user="postgres", password=password, dbname="checked")
    postgres.execute("DROP DATABASE checked WITH (FORCE)")


@pytest.fixture
def state(conninfo: str, tmp_path: Path) -> Iterator[BrokenState]:
    with psycopg.connect(conninfo) as connection:
        state = BrokenState(tmp_path, connection)
        yield state
        state.end_processes()
        connection.rollback()
        connection.execute("TRUNCATE servers, networks CASCADE")


def test_a_sound_server_is_no_cause_for_complaint(state: BrokenState) -> None:
    assert state.check() == []


def test_a_sound_server_on_its_old_system(state: BrokenState) -> None:
    state.end_processes()
    state.start_qemu("root-1.qcow2")
    state.sql("UPDATE servers SET generation = 1, image_id = 'image-1', name = 'old'")
    state.sql("UPDATE actions SET failed_step = 'swap', message = 'Error: swap: it broke'")
    state.sql("DELETE FROM generations WHERE number = 2")
    for name in ("root-2.qcow2", "config-2.iso"):
        (state.disks / name).unlink()
    assert state.check(OLD) == []


def make(path: str) -> Break:
    def make_it(state: BrokenState) -> None:
        file = state.state.parent / path.format(id=state.id)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()

    return make_it


def gone(name: str) -> Break:
    return lambda state: (state.disks / name).unlink()


def sql(statement: str) -> Break:
    return lambda state: state.sql(statement)


def off(state: BrokenState) -> None:
    """The row says that it is off, and so it is, but for what was not removed."""
    state.end_processes()
    state.sql("UPDATE servers SET vm_state = 'stopped'")
    (state.run_directory / "qmp.sock").touch()


def a_qemu_on_the_old_disk(state: BrokenState) -> None:
    state.end_processes()
    state.start_qemu("root-1.qcow2")


def another_port(state: BrokenState) -> None:
    state.sql(
        "INSERT INTO ports (id, server_id, network_id, mac, address, position)"
        " SELECT 'p2', server_id, network_id, 'fa:16:3e:00:00:02', '10.0.0.6', 1 FROM ports"
    )


def a_job(state: BrokenState) -> None:
    state.sql("INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('host:h', 'run_action')")


def a_third_generation(state: BrokenState) -> None:
    state.sql(
        "INSERT INTO generations (server_id, number, digest, disk_format, size, hostname, image_id, name,"
        " prepared_at) SELECT server_id, 3, digest, disk_format, size, hostname, image_id, name, prepared_at"
        " FROM generations WHERE number = 2"
    )
    state.write_root("root-3.qcow2")
    (state.disks / "config-3.iso").touch()


def a_helper(state: BrokenState) -> None:
    state.processes.append(
        subprocess.Popen(
            ["qemu-img", "-c", "import sys; sys.stdin.read()", str(state.disks)],
            executable=sys.executable,
            stdin=subprocess.PIPE,
        )
    )


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (sql("UPDATE servers SET deleted_at = now()"), "lost: it: it has no row"),
        (sql("UPDATE servers SET vm_state = 'error'"), "lost: it: its vm_state is error"),
        (sql("UPDATE servers SET task_state = 'rebuilding'"), "stuck: it: its task_state is rebuilding"),
        (
            sql("DELETE FROM generations WHERE number = 2"),
            "lost: it: generation 2, which it is to run, has no row",
        ),
        (
            sql("UPDATE servers SET image_id = 'image-1'"),
            "lost: it: its row tells of another system than the generation that runs",
        ),
        (
            sql("UPDATE servers SET generation = 1, image_id = 'image-1', name = 'old'"),
            "lost: it: rebuild succeeded; generation 1 runs",
        ),
        (
            sql("UPDATE actions SET failed_step = 'x', message = 'Error: x: it broke'"),
            "lost: it: rebuild failed; generation 2 runs",
        ),
        (
            sql("UPDATE actions SET failed_step = 'x'"),
            "stuck: it: rebuild req-1 failed and does not say why",
        ),
        (sql("UPDATE actions SET finished_at = NULL"), "stuck: it: rebuild req-1 has not ended"),
        (sql("UPDATE actions SET request_id = 'req-2'"), "lost: it: there is no action req-1"),
        (sql("UPDATE events SET result = NULL"), "stuck: it: swap of rebuild req-1 has no end"),
        (
            sql("UPDATE generations SET prepared_at = NULL WHERE number = 1"),
            "left over: it: generation 1 was never finished, and has a row",
        ),
        (a_third_generation, "left over: it: rows of generations [1, 2, 3], which pin images"),
        (
            sql("UPDATE ports SET address = '10.0.0.9'"),
            "lost: it: its address was fa:16:3e:00:00:01 10.0.0.5 and is fa:16:3e:00:00:01 10.0.0.9",
        ),
        (
            another_port,
            "left over: it: more ports than it had: fa:16:3e:00:00:01 10.0.0.5, fa:16:3e:00:00:02 10.0.0.6",
        ),
        (a_job, "left over: : a job of the queue: run_action (todo)"),
        (gone("root-2.qcow2"), "lost: it: root-2.qcow2 is gone"),
        (gone("config-1.iso"), "lost: it: config-1.iso is gone"),
        (
            lambda state: (state.disks / "root-1.qcow2").write_bytes(b"QFI"),
            "lost: it: root-1.qcow2 is no disk over an image that is here",
        ),
        (
            lambda state: (state.state / "images" / "base.raw").unlink(),
            "lost: it: root-2.qcow2 is no disk over an image that is here",
        ),
        (make("state/servers/{id}/root-3.qcow2"), "left over: it: root-3.qcow2 belongs to no generation"),
        (make("state/images/x.part"), "left over: : an unfinished file: {home}/state/images/x.part"),
        (make("state/servers/other/x"), "left over: other: nobody's: a directory of disks"),
        (make("run/servers/other/x"), "left over: other: nobody's: a run directory"),
        (BrokenState.end_processes, "lost: it: it has no QEMU process"),
        (lambda state: state.start_qemu("root-2.qcow2"), "left over: it: 2 QEMU processes"),
        (
            a_qemu_on_the_old_disk,
            "lost: it: QEMU is to run root-2.qcow2; the disks that it has open: root-1.qcow2",
        ),
        (lambda state: state.start_qemu(server_id="other"), "left over: other: nobody's: a QEMU process"),
        (
            sql("UPDATE servers SET vm_state = 'stopped'"),
            "left over: it: QEMU {qemu} runs, the row says it does not",
        ),
        (off, "left over: it: qmp.sock of a QEMU that is gone"),
        (
            a_helper,
            "left over: : a process that works on disks: "
            "qemu-img -c import sys; sys.stdin.read() {home}/state/servers/{id} ",
        ),
    ],
)
def test_a_broken_state(state: BrokenState, broken: Break, complaint: str) -> None:
    qemu = state.processes[0].pid
    broken(state)
    assert complaint.format(home=state.state.parent, id=state.id, qemu=qemu) in state.check()


@pytest.mark.parametrize(
    ("says", "complaint"),
    [
        (None, "lost: it: its guest says nothing"),
        (OLD, "lost: it: its guest says 'I am the old one'; generation 2 is another"),
        ("I am somebody", "lost: it: its guest says 'I am somebody', which is none of its systems"),
    ],
)
def test_a_guest_that_does_not_speak_as_it_should(
    state: BrokenState, says: str | None, complaint: str
) -> None:
    assert state.check(says) == [complaint]


def test_half_a_line_is_no_fresh_line(state: BrokenState) -> None:
    """What was in the console before anybody listened may have come from a system that is gone."""
    state.console.write_text("a line that is not whole")
    assert state.check(f" yet, {NEW}") == ["lost: it: its guest says nothing"]


def test_a_row_that_nobody_expects_counts_against_the_quota(state: BrokenState) -> None:
    other = str(uuid4())
    state.sql(
        "INSERT INTO servers (id, project_id, user_id, vm_state, host, flavor, reservation_id, hostname,"
        " image_id, name) SELECT %s, project_id, user_id, vm_state, host, flavor, reservation_id, hostname,"
        " image_id, name FROM servers",
        other,
    )
    assert state.check() == [f"left over: {other}: nobody's: a row that counts against the quota"]


def test_what_a_deleted_server_still_holds(state: BrokenState) -> None:
    """Expected by nobody: everything that it had is left over, but not its row, which tells of it."""
    state.end_processes()
    state.sql("UPDATE servers SET deleted_at = %s", NOW)
    assert state.check_for_nobody() == [
        f"left over: it: nobody's: {what}"
        for what in (
            "rows of generations, which pin images",
            "ports with addresses",
            "a directory of disks",
            "a run directory",
        )
    ]


def test_the_program_answers_in_json(state: BrokenState, conninfo: str) -> None:
    state.connection.commit()
    server = {"id": state.id, "systems": [OLD, NEW], "request_id": "req-1"}
    places = ["--state", str(state.state), "--run", str(state.run), "--patience", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "chaos.checker", *places, "--database", conninfo],
        input=json.dumps({"servers": [server | {"address": "fa:16:3e:00:00:01 10.0.0.5"}]}),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "speaks": {state.id: None},
        "complaints": [{"kind": "lost", "server": state.id, "what": "its guest says nothing"}],
    }
