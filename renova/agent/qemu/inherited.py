"""What one QEMU process is given: open files and listening sockets, opened by the agent on its behalf."""

import os
import socket
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from renova.agent.qemu.run_directory import GUEST_AGENT, QMP, SERIAL, RunDirectory
from renova.agent.qemu.spec import MachineSpec
from renova.agent.qemu.tap import open_tap
from renova.errors import RenovaError


def fdset_path(number: int) -> str:
    """What QEMU takes, and tells, as the path of the file in a set of descriptors."""
    return f"/dev/fdset/{number}"


@dataclass(frozen=True)
class OpenFile:
    """A file that QEMU is given: the descriptor's number, and the path for whoever asks what it has open."""

    number: int
    path: str

    @property
    def reference(self) -> str:
        """What QEMU takes for a path. `-add-fd` puts each file into the set of its own number."""
        return fdset_path(self.number)


@dataclass(frozen=True)
class Disks:
    """The files of one generation."""

    base: OpenFile
    root: OpenFile
    config_drive: OpenFile | None

    @property
    def files(self) -> list[OpenFile]:
        return [file for file in (self.base, self.root, self.config_drive) if file]


def open_disks(spec: MachineSpec, stack: ExitStack) -> Disks:
    """Open the files of a generation until `stack` closes. Raises RenovaError where one is missing."""
    return Disks(
        base=_opened(stack, spec.base, os.O_RDONLY),
        root=_opened(stack, spec.root, os.O_RDWR),
        config_drive=_opened(stack, spec.config_drive, os.O_RDONLY) if spec.config_drive else None,
    )


@dataclass(frozen=True)
class Inherited:
    """Descriptors by what they are for; `sockets` by chardev, `taps` by name.

    Close it as soon as QEMU has been spawned.

    As long as the agent holds a listening socket too, a QEMU that died would not be noticed on it.
    """

    disks: Disks
    data_disks: tuple[OpenFile, ...]
    console: OpenFile
    errors: int
    sockets: dict[str, int]
    taps: dict[str, int] = field(default_factory=dict)
    _open: ExitStack = field(default_factory=ExitStack, repr=False, compare=False)

    @property
    def files(self) -> list[OpenFile]:
        return [*self.disks.files, *self.data_disks, self.console]

    @property
    def numbers(self) -> list[int]:
        return [*(file.number for file in self.files), *self.sockets.values(), *self.taps.values()]

    @classmethod
    def open(cls, spec: MachineSpec, directory: RunDirectory) -> Self:
        """Open everything that a machine needs; its logs start empty.

        Raises RenovaError, with nothing left open, where a disk is missing or a socket or tap can't be made.
        """
        fresh_log = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC
        with ExitStack() as stack:

            def listening(name: str) -> int:
                made: socket.socket = stack.enter_context(directory.listen(name))
                return made.fileno()

            def plugged(tap: str, bridge: str | None) -> int:
                number = open_tap(tap, bridge or "")
                stack.callback(os.close, number)
                return number

            return cls(
                disks=open_disks(spec, stack),
                data_disks=tuple(_opened(stack, disk, os.O_RDWR) for disk in spec.data_disks),
                console=_opened(stack, directory.console, fresh_log),
                errors=_opened(stack, directory.errors, fresh_log).number,
                sockets={name: listening(name) for name in (QMP, GUEST_AGENT, SERIAL)},
                taps={card.tap: plugged(card.tap, card.bridge) for card in spec.cards if card.tap},
                _open=stack.pop_all(),
            )

    def close(self) -> None:
        self._open.close()


def _opened(stack: ExitStack, path: str | Path, flags: int) -> OpenFile:
    try:
        number = os.open(path, flags | os.O_NOFOLLOW, mode=0o600)
    except OSError as error:
        raise RenovaError(f"{path} can't be opened: {error.strerror}") from error
    stack.callback(os.close, number)
    return OpenFile(number, str(path))
