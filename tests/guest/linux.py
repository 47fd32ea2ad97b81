"""A small real Linux, built once for a whole test run, and started with plain QEMU."""

import fcntl
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from renova.guests.image import RAM_MIB, build
from renova.guests.packages import default_directory

MAC = "52:54:00:12:34:56"
ADDRESS = "10.20.0.5"


def shared_image(
    factory: pytest.TempPathFactory, name: str = "alpha", version: str = "1", *, ssh: bool = False
) -> Path:
    """The image `name version`, with the secret "secret of NAME", built by the first process to ask."""
    base = factory.getbasetemp()
    # With xdist every worker has a directory of its own below that of the run.
    directory = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "guests"
    directory.mkdir(exist_ok=True)
    image = directory / f"{name}-{version}{'-ssh' if ssh else ''}.qcow2"
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not image.exists():
            secret = f"secret of {name}"
            packages = default_directory()
            build(image, name=name, version=version, secret=secret, packages_dir=packages, ssh=ssh)
    return image


class LinuxGuest:
    """A started guest. Leaving the context ends QEMU."""

    def __init__(self, image: Path, config_drive: Path, directory: Path) -> None:
        self._console = directory / "console.log"
        self._agent_socket = directory / "agent.sock"
        self._monitor_socket = directory / "monitor.sock"
        disk = directory / "disk.qcow2"
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", image, disk], check=True
        )
        self.process = subprocess.Popen(
            [
                *("qemu-system-x86_64", "-no-user-config", "-nodefaults", "-display", "none"),
                *("-machine", "q35,accel=tcg", "-cpu", "max", "-m", str(RAM_MIB), "-device", "pvpanic-pci"),
                *("-serial", f"file:{self._console}"),
                *("-qmp", f"unix:{self._monitor_socket},server=on,wait=off"),
                *("-drive", f"file={disk},format=qcow2,if=virtio"),
                *("-drive", f"file={config_drive},format=raw,if=virtio,readonly=on"),
                *("-chardev", f"socket,path={self._agent_socket},server=on,wait=off,id=agent"),
                *("-device", "virtio-serial-pci"),
                *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
                *("-netdev", f"user,id=net,restrict=on,ipv6=off,net=10.20.0.0/24,dhcpstart={ADDRESS}"),
                *("-device", f"virtio-net-pci,netdev=net,mac={MAC}"),
            ]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def console(self) -> str:
        """What the guest has said so far."""
        return (
            self._console.read_text(errors="replace").replace("\r\n", "\n") if self._console.exists() else ""
        )

    def wait_for(self, pattern: str, seconds: float = 60) -> re.Match[str]:
        """Wait until the guest has said a line that matches `pattern` as a whole."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(f"^{pattern}\n", self.console(), re.MULTILINE)):
            assert self.process.poll() is None, f"the guest ended; it had said:\n{self.console()}"
            assert time.monotonic() < deadline, f"no {pattern!r}; the guest said:\n{self.console()}"
            time.sleep(0.05)
        return found

    def ends(self, seconds: float = 30) -> bool:
        """Whether the guest powers itself off."""
        return self.process.wait(seconds) == 0

    def press_power_button(self) -> None:
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self._monitor_socket))
            monitor.sendall(b'{"execute": "qmp_capabilities"} {"execute": "system_powerdown"}')
            answers = monitor.makefile()
            while "POWERDOWN" not in answers.readline():
                pass

    @contextmanager
    def agent(self) -> Iterator["AgentConnection"]:
        """A connection to the guest agent; there is one at a time."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self._agent_socket))
            yield AgentConnection(connection)


class AgentConnection:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._answers = connection.makefile("rb")

    def send(self, request: bytes) -> None:
        self._connection.sendall(request)

    def ask(self, request: bytes) -> bytes:
        """Send a request; returns the next line that comes back."""
        self.send(request)
        return self._answers.readline()
