"""`renova up`: everything that one machine needs to be a cloud, started, kept running and stopped.

PostgreSQL first; then what has to be made or migrated; then Keystone, Glance, the API and the agent at once,
since each of them waits for the others only when it is asked for something.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, suppress

from renova.cloud import config_files, orphans
from renova.cloud.errors import CloudError
from renova.cloud.passwords import write_private
from renova.cloud.postgres import Postgres, find_programs, unprivileged_user
from renova.cloud.service import Answers, Service, http_answers, run_to_end, socket_answers, write_pid
from renova.cloud.state import State

# Module and arguments of the program that is the agent.
AGENT = ("renova.cli", "agent")
# One role and one database for each. Doing it again changes nothing.
CREATE_DATABASE = """
DO $$ BEGIN CREATE ROLE {name} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
ALTER ROLE {name} PASSWORD '{password}';
SELECT 'CREATE DATABASE {name} OWNER {name}'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{name}') \\gexec
REVOKE CONNECT ON DATABASE {name} FROM PUBLIC;
"""


async def up(state: State, agent: Sequence[str] = AGENT) -> None:
    """Run the cloud of a state directory until SIGTERM or SIGINT. Raises CloudError if it can't start.

    `agent` is run as `python -m … --config STATE/renova.conf`.
    """
    _cancel_on_signals()
    if not state.path.exists():
        _refuse_taken_ports(state)  # Before anything is made.
    state.make()
    with state.lock():
        try:
            async with AsyncExitStack() as stack:
                for file in (state.ready, state.pid_file("up")):
                    file.unlink(missing_ok=True)
                    stack.callback(file.unlink, missing_ok=True)
                write_pid(state.pid_file("up"), os.getpid())
                stack.callback(state.clean_run_path)
                await _run(state, agent, stack)
        except asyncio.CancelledError:
            _say("stopped; virtual machines run on until `renova down`")


async def _run(state: State, agent: Sequence[str], stack: AsyncExitStack) -> None:
    state.make_run_path()
    orphans.end_services(state)
    _refuse_taken_ports(state)
    config_files.write_all(state)
    postgres = _postgres(state)
    postgres.prepare()
    services = [_database_service(state, postgres)]
    await _start(services, stack)
    await _set_up(state, postgres)
    rest = _services(state, agent)
    await _start(rest, stack)
    write_private(state.ready, f"{os.getpid()}\n")
    _say(f"ready: OS_CLIENT_CONFIG_FILE={state.path}/clouds.yaml openstack --os-cloud renova server list")
    async with asyncio.TaskGroup() as keepers:
        for service in services + rest:
            keepers.create_task(service.keep(_say))


async def _start(services: list[Service], stack: AsyncExitStack) -> None:
    for service in services:
        stack.push_async_callback(service.stop)
        await service.start()
    await _together(*(service.wait_until_it_answers() for service in services))
    _say(f"started: {', '.join(service.name for service in services)}")


async def _set_up(state: State, postgres: Postgres) -> None:
    """Make or migrate what this code wants. After a kill in the middle it is done again."""
    wanted = state.wanted_record()
    if state.record == wanted:
        return
    _say("making what this version needs: databases, keys, users, catalogue")
    for name in ("keystone", "glance", "renova"):
        postgres.execute(CREATE_DATABASE.format(name=name, password=state.password(f"database-{name}")))
    await _together(
        run_to_end("the set-up of keystone", _module(state, "keystone", "setup"), state.log("keystone")),
        run_to_end("the set-up of glance", _module(state, "glance", "setup"), state.log("glance")),
        run_to_end("the set-up of renova", _renova(state, "renova.cli", "db", "upgrade"), state.log("api")),
    )
    state.write_record(wanted)


async def _together(*parts: Coroutine[None, None, None]) -> None:
    """Do them all at once; the first that fails ends the others, and its error is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)
    except* CloudError as failed:
        first = failed.exceptions[0]
    else:
        return
    raise first


def _postgres(state: State) -> Postgres:
    user = unprivileged_user()
    return Postgres(
        data=state.path / "postgres",
        sockets=state.run_path / "postgres",
        programs=find_programs(state.path / "postgres-programs", user),
        password_file=state.password_file("postgres"),
        user=user,
    )


def _database_service(state: State, postgres: Postgres) -> Service:
    async def answers() -> bool:
        return await asyncio.to_thread(postgres.ready)

    log, pid_file = state.log("postgres"), state.pid_file("postgres")
    return Service("postgres", postgres.command, log, pid_file, answers, stop_signal=signal.SIGINT)


def _services(state: State, agent: Sequence[str]) -> list[Service]:
    def service(name: str, command: list[str], answers: Answers) -> Service:
        return Service(name, command, state.log(name), state.pid_file(name), answers)

    return [
        service(
            "keystone", _module(state, "keystone", "serve"), http_answers(state.ports["keystone"], "/v3")
        ),
        service("glance", _module(state, "glance", "serve"), http_answers(state.ports["glance"], "/")),
        service("api", _renova(state, "renova.cli", "api"), http_answers(state.ports["api"], "/")),
        service("agent", _renova(state, *agent), socket_answers(state.run_path / "agent.sock")),
    ]


def _module(state: State, name: str, command: str) -> list[str]:
    return [sys.executable, "-m", f"renova.cloud.{name}", command, str(state.path), str(state.port_offset)]


def _renova(state: State, *command: str) -> list[str]:
    return [sys.executable, "-m", *command, "--config", str(state.conf)]


def _refuse_taken_ports(state: State) -> None:
    for service, port in state.ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise CloudError(
                    f"port {port} for {service}: {error.strerror}; try --port-offset, or PORT_OFFSET of make"
                ) from None


def _cancel_on_signals() -> None:
    """SIGTERM and SIGINT cancel the caller, once: a second one must not cut the clean stop short."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def cancel() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: None)
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, cancel)


def _say(text: str) -> None:
    with suppress(OSError):  # Whoever read it may have gone; the cloud stays.
        print(f"renova: {text}", flush=True)
