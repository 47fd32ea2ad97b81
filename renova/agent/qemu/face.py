"""What the agent's steps see of a hypervisor: implemented over QEMU, and by a fake that needs nothing."""
# ruff: noqa: ASYNC109  A time limit that runs out is an answer here, False, and not an exception.

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from renova.agent.qemu.spec import MachineSpec


class Machine(Protocol):
    """A virtual machine that was started or adopted."""

    @property
    def spec(self) -> MachineSpec: ...

    @property
    def pid(self) -> int: ...

    @property
    def ended(self) -> asyncio.Future[str]:
        """Resolves, milliseconds after the guest no longer runs, with the reason ("guest powered off").

        The QEMU process may still exist then: a guest that powered itself off leaves it paused. The future
        never fails and must not be cancelled: wait for it under asyncio.wait or asyncio.shield. After a swap
        it is another, that of the new guest.
        """

    @property
    def ended_at(self) -> float | None:
        """When a guest of this machine last ended, on time.monotonic's clock; a swap does not forget it."""

    @property
    def ran_at(self) -> float | None:
        """When the guest's processors were let run, on time.monotonic's clock. None of an adopted machine."""

    @property
    def panicked(self) -> bool:
        """Whether the guest's kernel said that it panicked."""

    @property
    def last_guest_reset(self) -> float | None:
        """When the guest last reset itself, on time.monotonic's clock.

        The firmware resets once or twice at every boot, so one reset proves nothing; a reset that comes long
        after the boot does. Not remembered across a restart of the agent.
        """

    @property
    def stalled(self) -> str | None:
        """Why QEMU has stopped the guest in the middle of a write, in words for its owner.

        None while it runs. The guest has lost nothing; `go_on` lets it try again.
        """

    async def go_on(self) -> None:
        """Let a stalled guest run: its write is done once more, and may stall it again.

        Raises RenovaError where QEMU can't.
        """

    async def power_down(self, timeout: float) -> bool:
        """Ask the guest to power itself off: by its guest agent if that answers, then by ACPI.

        Returns True as soon as the guest is off, False when it still runs after `timeout` seconds.
        """

    async def pause(self) -> None:
        """Halt the guest where it is, for good: it has ended. Raises RenovaError where QEMU can't."""

    async def reset(self) -> None:
        """Press the reset button. Raises RenovaError where QEMU can't."""

    async def quit(self) -> None:
        """End the QEMU process for certain and wait until it is gone. Its console log stays.

        A second call does nothing.
        """

    async def copy_root(self, target: Path) -> None:
        """Copy the root disk as it is at one moment into an empty qcow2 file of its size. The guest runs on.

        A guest with an agent has its file systems frozen for that moment. A copy that an agent of this host
        left under way is given up first. Raises DiskFull, or RenovaError with QEMU's own sentence.
        """

    async def close_old_disks(self) -> None:
        """Let QEMU close the disks of every generation but the one that it runs: a swap leaves those of the
        one before open, so that neither the new guest nor whoever waits for it has to wait for that. Nothing
        to close is no error.
        """

    async def agent_answers(self, timeout: float) -> bool:
        """Whether a guest agent of the system that runs now answers within `timeout` seconds."""

    async def set_password(self, user: str, password: str, timeout: float) -> bool:
        """Whether the guest agent says within `timeout` seconds that this is the user's password. One that
        refuses is asked again until then.
        """


# Reasons that something is decided by; any other is for people only.
POWERED_OFF = "guest powered off"
PANICKED = "guest panicked"
PAUSED = "guest paused"

# Reasons of a stall.
NO_SPACE = "the host's disk is full"
WRITE_FAILED = "the host's disk does not take what the server writes"

EndCallback = Callable[[str, Machine, str], None]


class Hypervisor(Protocol):
    """The virtual machines of one host. They outlive this object and the process that holds it."""

    on_end: EndCallback | None
    """Called with (server_id, machine, reason) in the event loop when a machine ends that neither `quit` nor
    `power_down` was asked to end. It must not block."""

    async def adopt(self) -> list[Machine]:
        """Attach to every machine that an earlier process left running; once, before anything else.

        A machine whose guest ended in the meantime is among them, and `on_end` is called for it. One that was
        never let run, or was in the middle of a swap, is ended. What a dead QEMU left behind is removed,
        except its console log.
        """

    async def start(self, spec: MachineSpec) -> Machine:
        """Start a machine and return when its processors run. Its console log starts empty.

        Raises RenovaError with QEMU's own last words where it does not start, and when the server runs.
        """

    async def swap(self, spec: MachineSpec) -> Machine:
        """Exchange the disks of the server's machine under its QEMU, for those of another generation, and
        return when the new guest's processors run. `spec` is the same machine but for its disks.

        A guest that still runs is paused at the last moment; nothing of it (console log, end, panic, resets,
        guest agent) counts for the new one. Memory keeps what the old system left in it. Raises RenovaError,
        and then the machine has been ended.
        """

    def stalled(self) -> list[Machine]:
        """The machines whose guests QEMU has stopped because a write failed."""

    def get(self, server_id: str) -> Machine | None:
        """The server's machine, until `quit`: one that ended by itself is kept, to tell the reason."""

    def running(self) -> list[Machine]:
        """Every machine whose guest has not ended."""

    async def remove(self, server_id: str) -> None:
        """End the server's machine, if there is one, and forget everything about it, its console log too."""

    async def console_output(self, server_id: str, lines: int | None) -> str:
        """The newest `lines` lines (None: all) that the server's latest machine printed; "" if it never ran.

        At most about 1 MiB is kept.
        """

    async def close(self) -> None:
        """Let go of every machine without ending it."""
