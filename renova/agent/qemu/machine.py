"""One live virtual machine: a QEMU process, its monitor and its guest's agent."""
# ruff: noqa: ASYNC109  A time limit that runs out is an answer here, False, and not an exception.

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from renova.agent.qemu import block_nodes, translated_code
from renova.agent.qemu.backup import copy_root
from renova.agent.qemu.bounded_log import BoundedLog
from renova.agent.qemu.command_line import GUEST_AGENT_PORT
from renova.agent.qemu.face import NO_SPACE, PANICKED, PAUSED, POWERED_OFF, WRITE_FAILED
from renova.agent.qemu.guest_agent import GuestAgent
from renova.agent.qemu.monitor import Command, Event, Monitor
from renova.agent.qemu.process import Process
from renova.agent.qemu.run_directory import GUEST_AGENT, QMP, RunDirectory
from renova.agent.qemu.spec import MachineSpec
from renova.errors import RenovaError

logger = logging.getLogger(__name__)
# Seconds. A guest agent that runs answers within a tenth of one.
AGENT_ANSWER = 2.0
# A guest that is still booting has no one to notice its power button: it is pressed again, as Nova does.
PRESS_AGAIN = 10.0
QUIT = 3.0
RESET = 10.0
# Where a PC's processor finds its first jump, of 5 bytes: below 1 MiB, and in the ROM below 4 GiB.
RESET_VECTOR, RESET_VECTOR_IN_ROM = 0xFFFF0, 0xFFFFFFF0
# A guest writes what it still holds in memory before its file systems are frozen.
FREEZE = 10.0


class QemuMachine:
    """See `renova.agent.qemu.face.Machine`. Made as soon as there is a process, connected after that.

    `gone` is done when the process is gone and what it left is removed; `last_words` are then known.
    """

    def __init__(self, spec: MachineSpec, process: Process, directory: RunDirectory) -> None:
        self.spec = spec
        self.pid = process.pid
        self.last_words = ""
        self.ended_at: float | None = None
        self.ran_at: float | None = None
        self._process = process
        self._directory = directory
        self._monitor = Monitor(directory.socket(QMP), self._note)
        self._guest_agent = GuestAgent(directory.socket(GUEST_AGENT))
        self._agent_port_open = asyncio.Event()
        self._was_reset = asyncio.Event()
        self._first_jump, self._translates = "", False
        # Whether QEMU may have disks of other generations open.
        self._has_others = False
        self._forget_guest()
        self.gone = asyncio.create_task(self._watch())

    def _forget_guest(self) -> None:
        """What is known of a guest, before it has run."""
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.end_wanted = False
        self.panicked = False
        self.last_guest_reset: float | None = None
        self.stalled: str | None = None
        self._agent_port_open.clear()

    async def connect(self, timeout: float) -> None:
        """Raises RenovaError when the monitor does not answer in time."""
        await self._monitor.connect(timeout)
        # What stays as it is for as long as this QEMU lives, and a swap would have to ask for.
        told = await self._monitor.execute(*_look_at(RESET_VECTOR_IN_ROM))
        self._first_jump = _bytes(told)
        self._translates = await translated_code.translates(self._monitor)

    async def run(self) -> None:
        await self._monitor.execute("cont")
        self.ran_at = time.monotonic()

    async def look(self) -> str:
        """Learn what happened before this attachment; returns QEMU's run state."""
        ports = await self._monitor.execute("query-chardev")
        if any(port["label"] == GUEST_AGENT and port["frontend-open"] for port in ports):
            self._agent_port_open.set()
        if any(port["label"] == translated_code.DEBUGGER for port in ports):
            await translated_code.detach(self._monitor)
        self._has_others = True
        state = str((await self._monitor.execute("query-status"))["status"])
        if state == "shutdown":
            self._end(POWERED_OFF)
        elif state == "guest-panicked":
            self._note_panic()
        elif state == "io-error":
            full = "nospace" in await self._disk_statuses()
            self.stalled = NO_SPACE if full else WRITE_FAILED
        elif state == "paused":
            self._end(PAUSED)
        return state

    async def go_on(self) -> None:
        if self.stalled and not self.ended.done():
            await self._monitor.execute("cont")

    async def power_down(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        self.end_wanted = True
        try:
            if timeout > 0 and await self._shut_down_by_agent(min(AGENT_ANSWER, timeout)):
                await self._wait_for_end(timeout / 2)
            while not self.ended.done() and (left := deadline - time.monotonic()) > 0:
                with suppress(RenovaError):  # A QEMU that is going away; `ended` is about to say so.
                    await self._monitor.execute("system_powerdown", timeout=left)
                await self._wait_for_end(min(PRESS_AGAIN, deadline - time.monotonic()))
            return self.ended.done()
        finally:
            self.end_wanted = self.ended.done()

    async def pause(self) -> None:
        self.end_wanted = True
        # Said first, so that nobody lets a stalled guest go on from here.
        self._end(PAUSED)
        await self._monitor.execute("stop")

    async def swap(self, spec: MachineSpec) -> None:
        """See `renova.agent.qemu.face.Hypervisor.swap`. After an error nobody knows what QEMU holds."""
        await self._close_others()
        self._has_others = True
        await block_nodes.add_generation(self._monitor, spec)
        async with translated_code.forgetting(self._monitor, code=self._translates) as forget:
            await self.pause()
            # From here until the new guest runs no file says what this QEMU holds: an agent that finds it so,
            # because this one was killed, ends it. On no account may it be taken for either generation.
            self._directory.forget_spec()
            await self._exchange(spec)
            await forget()
            BoundedLog(self._directory.console).clear()
            self._forget_guest()
            await self.run()
        self.spec = spec
        self._directory.write_spec(spec)

    async def close_old_disks(self) -> None:
        """See `renova.agent.qemu.face.Machine`. What QEMU keeps open is tried again by the next swap, and if
        that is refused a new QEMU is made.
        """
        try:
            await self._close_others()
        except RenovaError as error:
            if not self.gone.done():
                logger.warning("Server %s: old disks stay open: %s", self.spec.server_id, error)

    async def _close_others(self) -> None:
        if self._has_others:
            await block_nodes.close_others(self._monitor, self.spec.generation)
            self._has_others = False

    async def _exchange(self, spec: MachineSpec) -> None:
        """Give a guest that stands still another generation's disks, and reset it. All is sent at once: where
        a part of it goes wrong the others do no harm, since its QEMU is ended then.

        It goes wrong too where the reset leads nowhere, because the first jump below 1 MiB was not the ROM's.
        In the first milliseconds of a machine SeaBIOS shows memory in the ROM's place before it has copied
        itself there. A reset takes neither back, so one in that moment leaves zeros to boot from, for ever.
        """
        self._was_reset.clear()
        told, *_ = await self._monitor.execute_all(
            _look_at(RESET_VECTOR), block_nodes.exchange(spec), ("system_reset", {})
        )
        if _bytes(told) != self._first_jump:
            raise RenovaError("the guest's firmware is not in its place")
        # QEMU answers before it has reset the machine: one that ran on would have the old system's memory
        # and the new one's disk.
        try:
            async with asyncio.timeout(RESET):
                await self._was_reset.wait()
        except TimeoutError as error:
            raise RenovaError(f"QEMU did not reset its guest within {RESET:.0f} seconds") from error

    async def reset(self) -> None:
        await self._monitor.execute("system_reset")

    async def quit(self) -> None:
        self.end_wanted = True
        with suppress(RenovaError):
            await self._monitor.execute("quit", timeout=QUIT)
        await self.kill_after(QUIT)

    async def kill_after(self, seconds: float) -> None:
        """Give the process some time to end, then end it."""
        await asyncio.wait({self.gone}, timeout=seconds)
        self._process.kill()
        await asyncio.shield(self.gone)

    async def copy_root(self, target: Path) -> None:
        await self._ask_briefly(self._guest_agent.thaw)  # An agent of ours may have been killed in between.
        await copy_root(self._monitor, target, self._still)

    async def agent_answers(self, timeout: float) -> bool:
        asking = asyncio.create_task(self._ask_agent())
        either: list[asyncio.Future[Any]] = [asking, self.ended]
        await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        answered = asking.done() and asking.exception() is None
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        return answered

    async def set_password(self, user: str, password: str, timeout: float) -> bool:
        with suppress(TimeoutError, OSError, EOFError):
            async with asyncio.timeout(timeout):
                await self._agent_port_open.wait()
                await self._guest_agent.set_password(user, password)
                return True
        return False

    async def let_go(self) -> None:
        """Stop watching; the machine runs on."""
        self.gone.cancel()
        await asyncio.gather(self.gone, return_exceptions=True)
        await self._monitor.close()
        self._process.let_go()

    async def _disk_statuses(self) -> set[str]:
        """What QEMU remembers of each disk's last error: "ok", "nospace" or "failed"."""
        return {str(disk.get("io-status")) for disk in await self._monitor.execute("query-block")}

    async def _ask_agent(self) -> None:
        """Return once the agent has answered a ping.

        A question that is under way when the guest resets is lost, so it is asked again and again.
        """
        while True:
            await self._agent_port_open.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(AGENT_ANSWER):
                    return await self._guest_agent.ping()

    async def _shut_down_by_agent(self, timeout: float) -> bool:
        """Whether the agent was there to take the request."""
        if not self._agent_port_open.is_set():
            return False
        with suppress(TimeoutError, OSError, EOFError):
            async with asyncio.timeout(timeout):
                await self._guest_agent.shut_down()
                return True
        return False

    @asynccontextmanager
    async def _still(self) -> AsyncIterator[None]:
        """Inside, the guest's file systems are whole on its disk, if it has an agent that can do that."""
        frozen = await self._ask_briefly(self._guest_agent.freeze)
        try:
            yield
        finally:
            if frozen:
                await self._ask_briefly(self._guest_agent.thaw)

    async def _ask_briefly(self, question: Callable[[], Awaitable[bool]]) -> bool:
        """The agent's own answer; False where there is no agent, or none that answers."""
        if self._agent_port_open.is_set():
            with suppress(TimeoutError, OSError, EOFError):
                async with asyncio.timeout(FREEZE):
                    return await question()
        return False

    async def _wait_for_end(self, timeout: float) -> None:
        await asyncio.wait({self.ended}, timeout=max(timeout, 0))

    async def _watch(self) -> None:
        reason = await asyncio.shield(self._process.ended)
        self.last_words = self._directory.last_words()
        self._end(reason)
        await self._monitor.close()
        await asyncio.to_thread(self._directory.clean)

    def _note(self, event: Event) -> None:
        match event:
            case {"event": "SHUTDOWN", "data": {"reason": "guest-panic"}} | {"event": "GUEST_PANICKED"}:
                self._note_panic()
            case {"event": "SHUTDOWN", "data": {"guest": True}}:
                self._end(POWERED_OFF)
            case {"event": "BLOCK_IO_ERROR", "data": {"action": "stop", **more}}:
                self.stalled = NO_SPACE if more["nospace"] else WRITE_FAILED
            case {"event": "RESUME"}:
                self.stalled = None
            case {"event": "RESET", "data": {"guest": True}}:
                self.last_guest_reset = time.monotonic()
            case {"event": "RESET"}:
                self._was_reset.set()
            case {"event": "VSERPORT_CHANGE", "data": {"id": str(port), "open": True}} if (
                port == GUEST_AGENT_PORT
            ):
                self._agent_port_open.set()
            case {"event": "VSERPORT_CHANGE", "data": {"id": str(port)}} if port == GUEST_AGENT_PORT:
                self._agent_port_open.clear()

    def _note_panic(self) -> None:
        self.panicked = True
        self._end(PANICKED)

    def _end(self, reason: str) -> None:
        if not self.ended.done():
            self.ended_at = time.monotonic()
            self.ended.set_result(reason)


def _look_at(vector: int) -> Command:
    """What tells the first jump of a processor that begins at this address."""
    return "human-monitor-command", {"command-line": f"xp/5xb {vector:#x}"}


def _bytes(told: str) -> str:
    """What is said of an address, without the address."""
    return told.partition(":")[2]
