"""Moments: before, in and after everything that an agent does, made places where an order is carried out.

Nothing in Renova knows of this. The deeds of `renova.agent.operations.OPERATIONS` are replaced by ones that
look for an order first and last; "in" is the first use, within a deed, of the tool that the deed is about:
bytes of an image have arrived, a file is written and has not got its name, QEMU has been asked, a guest is
waited for, a change is about to be written: of a deed it is one statement, a transaction of its own.
"""

import asyncio
import inspect
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.util import await_only

from chaos.orders import AFTER, BEFORE, ERROR, HOLD, IN, KILL_QEMU, LOOK_AGAIN, TWICE, Orders
from renova.agent import files, verify
from renova.agent.engine import Deed, Operation
from renova.agent.operations import OPERATIONS
from renova.agent.qemu import face
from renova.agent.qemu.hypervisor import QemuHypervisor
from renova.agent.qemu.machine import QemuMachine
from renova.agent.work import Work
from renova.clients.glance import Glance
from renova.db.statements import Statement

IMAGE, FILE, MACHINE, GUEST, COMMIT = "image", "file", "machine", "guest", "commit"
# The tool that a deed is about; a deed that is not here is in its midst at the first of them.
TOOLS = {
    "fetch_image": IMAGE,
    "make_disks": FILE,
    "copy_disks": FILE,
    "stop_guest": MACHINE,
    "swap_generation": COMMIT,
    "start_guest": MACHINE,
    "verify_guest": GUEST,
    "commit": COMMIT,
    "fail": COMMIT,
    # Old disks are closed before anything is removed.
    "tidy": MACHINE,
}
# It only looks at files: there is nothing that it could be in the midst of.
WITHOUT_MIDST = ("check_disks",)
UNDO = "undo_"
# A coroutine that has been suspended so often has begun what it is there for: QEMU exists, or was asked.
MIDWAY = 2


class Injected(Exception):
    """The error that was ordered."""


@dataclass(frozen=True)
class Doing:
    """A deed under way for a server."""

    orders: Orders
    run_path: Path
    server_id: str
    deed: str

    async def reach(self, moment: str) -> None:
        name = self._obey(moment)
        while name and not self.orders.may_go(name):  # noqa: ASYNC110  Another process lets it go.
            await asyncio.sleep(LOOK_AGAIN)

    def reach_in_thread(self, moment: str) -> None:
        if name := self._obey(moment):
            self.orders.wait_to_go(name)

    def is_about(self, tool: str) -> bool:
        wanted = TOOLS.get(self.deed.removeprefix(UNDO))
        return wanted in (tool, None)

    def _obey(self, moment: str) -> str | None:
        """Carry out what is ordered for this moment. Returns the order's name if it is to wait."""
        order = self.orders.take(self.server_id, self.deed, moment)
        if order is None:
            return None
        name, fault = order
        if fault == ERROR:
            raise Injected(f"chaos: an error {moment} {self.deed}")
        if fault == KILL_QEMU:
            self.orders.note(name, self._kill_qemu())
        return name if fault == HOLD else None

    def _kill_qemu(self) -> str:
        directory = self.run_path / "servers" / self.server_id
        try:
            pid = int((directory / "pid").read_text())
            if os.fsencode(directory) not in Path(f"/proc/{pid}/cmdline").read_bytes():
                return "no QEMU"
            os.kill(pid, signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            return "no QEMU"
        return f"killed {pid}"


_doing: ContextVar[Doing | None] = ContextVar("doing", default=None)


def about(tool: str) -> Doing | None:
    """What is under way in this task or thread, if it is about this tool."""
    doing = _doing.get()
    return doing if doing and doing.is_about(tool) else None


def install(orders: Orders, run_path: Path) -> None:
    """Wrap every deed of every operation, and the tools. Once, before the agent runs."""
    for name, operation in OPERATIONS.items():
        OPERATIONS[name] = _watched(operation, orders, run_path)
    _watch_images()
    _watch_files()
    _watch_machines()
    _watch_guests()
    _watch_statements()


# --- deeds


def _watched(operation: Operation, orders: Orders, run_path: Path) -> Operation:
    def deed(name: str, do: Deed) -> Deed:
        async def watched(work: Work) -> None:
            doing = Doing(orders, run_path, work.action.server_id, name)
            await doing.reach(BEFORE)
            token = _doing.set(doing)
            try:
                await do(work)
                if orders.take(doing.server_id, name, TWICE):
                    await do(work)
            finally:
                _doing.reset(token)
            await doing.reach(AFTER)

        return watched

    def end(name: str, write: Callable[..., Awaitable[bool]]) -> Callable[..., Awaitable[bool]]:
        """The operation's last transaction, which the engine commits after it has come back from here."""

        async def watched(session: Any, action: Any, *rest: Any) -> bool:
            doing = Doing(orders, run_path, action.server_id, name)
            await doing.reach(BEFORE)
            written = await write(session, action, *rest)
            await doing.reach(IN)
            return written

        return watched

    steps = tuple(
        replace(
            step,
            do=deed(step.name, step.do),
            undo=deed(UNDO + step.name, step.undo) if step.undo else None,
        )
        for step in operation.steps
    )
    return replace(
        operation,
        steps=steps,
        commit=end("commit", operation.commit),
        fail=end("fail", operation.fail),
        tidy=deed("tidy", operation.tidy) if operation.tidy else None,
    )


# --- tools


def _watch_images() -> None:
    download = Glance.download

    async def watched(chunks: AsyncIterator[bytes], doing: Doing) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            yield chunk
            await doing.reach(IN)

    @asynccontextmanager
    async def watched_download(
        self: Glance, *args: Any, **kwargs: Any
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        async with download(self, *args, **kwargs) as chunks:
            doing = about(IMAGE)
            yield watched(chunks, doing) if doing else chunks

    Glance.download = watched_download  # type: ignore[method-assign]


def _watch_files() -> None:
    settle = files.settle

    @wraps(settle)
    def watched(*args: Any, **kwargs: Any) -> None:
        if doing := about(FILE):
            doing.reach_in_thread(IN)
        settle(*args, **kwargs)

    for name, module in list(sys.modules.items()):
        if name.startswith("renova.agent") and vars(module).get("settle") is settle:
            vars(module)["settle"] = watched


def _watch_machines() -> None:
    """Every coroutine of a hypervisor and of a machine that a step may call."""
    for declared, made in ((face.Hypervisor, QemuHypervisor), (face.Machine, QemuMachine)):
        for name, function in vars(declared).items():
            if inspect.iscoroutinefunction(function) and name not in ("adopt", "close", "console_output"):
                setattr(made, name, _watched_call(getattr(made, name)))


def _watched_call(call: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(call)
    async def watched(*args: Any, **kwargs: Any) -> Any:
        doing = about(MACHINE)
        return await (_Midway(call(*args, **kwargs), doing) if doing else call(*args, **kwargs))

    return watched


@dataclass(frozen=True)
class _Midway:
    """Awaits a coroutine, and reaches IN while it is under way; at its end, where it hardly waits at all."""

    call: Coroutine[Any, Any, Any]
    doing: Doing

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Callable[[Any], Any] = self.call.send
        value: Any = None
        suspended = 0
        while True:
            try:
                waiting = step(value)
            except StopIteration as stop:
                if suspended < MIDWAY:
                    yield from self.doing.reach(IN).__await__()
                return stop.value
            suspended += 1
            try:
                if suspended == MIDWAY:
                    yield from self.doing.reach(IN).__await__()
                step, value = self.call.send, (yield waiting)
            except BaseException as error:
                # The ordered error or a cancellation: for the coroutine to deal with.
                step, value = self.call.throw, error


def _watch_guests() -> None:
    settles = verify.settles

    async def watched(machine: face.Machine, settle: float) -> None:
        if doing := about(GUEST):
            await doing.reach(IN)
        await settles(machine, settle)

    verify.settles = watched


# --- statements


def _watch_statements() -> None:
    """Those that SQLAlchemy's session sends, and those that are sent past it."""
    event.listen(Session, "do_orm_execute", _on_statement)
    for name in ("run", "rows"):
        setattr(Statement, name, _watched_sending(getattr(Statement, name)))


def _watched_sending(send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(send)
    async def watched(statement: Statement, *args: Any) -> Any:
        if not statement.is_select and (doing := about(COMMIT)):
            await doing.reach(IN)
        return await send(statement, *args)

    return watched


def _on_statement(state: ORMExecuteState) -> None:
    if not state.is_select and (doing := about(COMMIT)):
        await_only(doing.reach(IN))
