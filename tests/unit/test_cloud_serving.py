"""A program that serves an application: one process, which ends well."""

import http.client
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.waiting import wait_until

# GET /SECONDS is answered after so long; the file is there as soon as it is being answered.
PROGRAM = """
import asyncio, sys, time
from pathlib import Path
from granian.constants import Interfaces
from renova.cloud import serving

def wsgi(environ, start_response):
    Path(sys.argv[3]).touch()
    time.sleep(float(environ["PATH_INFO"][1:]))
    start_response("200 OK", [("Content-Length", "4")])
    return [b"done"]

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    Path(sys.argv[3]).touch()
    await asyncio.sleep(float(scope["path"][1:]))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"done"})

serving.GRACE = 2
loads = {"wsgi": lambda: wsgi, "asgi": lambda: asgi}
interface, port = Interfaces(sys.argv[1]), int(sys.argv[2])
threads = 4 if interface is Interfaces.WSGI else None
serving.serve("renova test", loads[sys.argv[1]], interface, port, blocking_threads=threads)
"""


class Program:
    def __init__(self, interface: str, home: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.mark, self.log = home / "mark", home / "log"
        command = [sys.executable, "-c", PROGRAM, interface, str(self.port), str(self.mark)]
        with self.log.open("w") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        wait_until(self.listens, "it listens")

    def listens(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5):
            return True
        return False

    def get(self, seconds: float) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", f"/{seconds}")
            return connection.getresponse().read()
        finally:
            connection.close()


@pytest.fixture(params=["wsgi", "asgi"])
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Program]:
    program = Program(request.param, tmp_path)
    yield program
    program.process.kill()
    program.process.wait()


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def asked(program: Program, beside: ThreadPoolExecutor, seconds: float) -> Callable[[], bytes]:
    """The answer to a request that is under way now."""
    answer = beside.submit(program.get, seconds)
    wait_until(program.mark.exists, "the request is being answered")
    return answer.result


def test_a_request_that_is_under_way_is_answered_before_the_end(
    program: Program, beside: ThreadPoolExecutor
) -> None:
    answer = asked(program, beside, 0.5)
    program.process.send_signal(signal.SIGTERM)
    assert answer() == b"done"
    assert program.process.wait(30) == 0


def test_a_request_that_takes_for_ever_does_not_hold_the_program(
    program: Program, beside: ThreadPoolExecutor
) -> None:
    answer = asked(program, beside, 600)
    program.process.send_signal(signal.SIGTERM)
    assert program.process.wait(30) == 0
    with pytest.raises((http.client.HTTPException, OSError)):
        answer()


def test_what_is_killed_leaves_nobody_behind(program: Program) -> None:
    """Not on the port, and not at all: there is only one process."""
    tasks = Path(f"/proc/{program.process.pid}/task")
    assert "".join(file.read_text() for file in tasks.glob("*/children")) == ""
    program.process.kill()
    program.process.wait()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", program.port))
