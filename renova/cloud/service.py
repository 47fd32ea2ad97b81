"""One program that `renova up` keeps running: started, asked whether it answers, started again, stopped."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from renova.cloud.errors import CloudError

# Seconds until a program that ended is started again: soon, then ever later, until one has lived for long.
FIRST_DELAY, LONGEST_DELAY, LONG_LIFE = 0.2, 30.0, 60.0
PATIENCE = 60.0
Answers = Callable[[], Awaitable[bool]]


@dataclass
class Service:
    """`answers` says whether it does what it is for; `stop_signal` ends it cleanly within `grace` seconds."""

    name: str
    command: list[str]
    log: Path
    pid_file: Path
    answers: Answers
    stop_signal: int = signal.SIGTERM
    grace: float = 30.0
    _process: asyncio.subprocess.Process | None = field(default=None, init=False)

    async def start(self) -> None:
        self._process = await _spawn(self.command, self.log)
        write_pid(self.pid_file, self._process.pid)

    async def wait_until_it_answers(self) -> None:
        """Raises CloudError if the program ends first, or takes longer than a minute."""
        assert self._process is not None
        deadline = time.monotonic() + PATIENCE
        while not await self.answers():
            if self._process.returncode is not None:
                ending = _how_it_ended(self._process)
                raise CloudError(f"{self.name} {ending} before it answered: {_last_words(self.log)}")
            if time.monotonic() > deadline:
                raise CloudError(f"{self.name} did not answer within {PATIENCE:.0f} s; see {self.log}")
            await asyncio.sleep(0.05)

    async def keep(self, say: Callable[[str], None]) -> None:
        """Start the program again whenever it ends, for ever, and say so."""
        delay = FIRST_DELAY
        while True:
            assert self._process is not None
            began = time.monotonic()
            await self._process.wait()
            if time.monotonic() - began > LONG_LIFE:
                delay = FIRST_DELAY
            ending = _how_it_ended(self._process)
            say(f"{self.name} {ending}; it is started again in {delay:.1f} s; see {self.log}")
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY)
            try:
                await self.start()
            except OSError as error:  # A full disk, say: it is tried again, ever later.
                say(f"{self.name} can't be started: {error}")

    async def stop(self) -> None:
        """End the program, by force when it takes longer than its grace."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            if self._process.returncode is None:
                self._process.send_signal(self.stop_signal)
            try:
                async with asyncio.timeout(self.grace):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        self.pid_file.unlink(missing_ok=True)


def write_pid(path: Path, pid: int) -> None:
    """Whole or not at all: it may be read at any instant, and half a pid is another's."""
    new = path.with_suffix(".new")
    new.write_text(f"{pid}\n")
    new.replace(path)


async def run_to_end(name: str, command: list[str], log: Path) -> None:
    """Run a program that ends by itself. Raises CloudError with its last words if it fails."""
    process = await _spawn(command, log)
    try:
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise CloudError(f"{name} {_how_it_ended(process)}: {_last_words(log)}")


async def _spawn(command: list[str], log: Path) -> asyncio.subprocess.Process:
    """Start a program that says everything to a log, and that dies with us whatever happens to us."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    # Without byte code every start compiles Keystone and Glance again, which takes longer than all the rest.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "TERM", *command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            process_group=0,  # A terminal's ^C is for us; we stop the others, in order.
        )


def _how_it_ended(process: asyncio.subprocess.Process) -> str:
    status = process.returncode
    assert status is not None
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"


def _last_words(log: Path) -> str:
    """The last line of a log that says what was wrong: no frame of an exception group, no farewell."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8192))
        lines = [line.strip(" |+-") for line in file.read().decode(errors="replace").splitlines()]
    telling = (line for line in reversed(lines) if line and "INFO" not in line)
    return f"{next(telling, 'it said nothing')} ({log})"


def http_answers(port: int, path: str) -> Answers:
    """Whether something on 127.0.0.1 answers a GET with less than 500."""

    async def answers() -> bool:
        try:
            async with asyncio.timeout(5):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
                status = (await reader.readline()).split()
                writer.close()
        except (OSError, TimeoutError):
            return False
        return len(status) > 1 and status[1].isdigit() and int(status[1]) < 500

    return answers


def socket_answers(path: Path) -> Answers:
    """Whether something listens on a unix socket."""

    async def answers() -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(path)
        except OSError:
            return False
        writer.close()
        return True

    return answers
