"""The floor: what QEMU itself takes for a rebuild, with no service around it and none of Renova's code.

    python -m bench.floor --count 50 --machines 40 --drivers 8 --rounds 3

The guests and the machines are those of the measured cloud (a boot sector, q35 under TCG, 512 MiB, the same
devices). Prints one JSON object of lists: milliseconds of each single swap and respawn, and swaps per second
(/s) of all machines at once, a value for each round. Each new guest says its marker, or there is no figure at
all.

A swap: the new disk is opened beside the old one; then stop, blockdev-reopen, system_reset, cont; then the
old one is closed. QEMU answers system_reset before it has reset the machine, so the RESET event is waited
for. A guest that has spoken has left its firmware behind, so no reset hits a firmware that is half in place.
After the reset QEMU is made to drop what it has translated for the old guest, by a step under its gdb server
(docs/decisions/0012). A plain swap goes without that: it is what QEMU does when nobody helps.
"""

import argparse
import json
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.guest.boot_sector import write_image

SYSTEMS = 2
DISK = "1G"
RAM_MIB = 512
PATIENCE = 60.0
LOOK_AGAIN = 0.001
# What the figures of a kind of swap begin with, and whether it is a plain one.
KINDS = (("", False), ("plain ", True))


class Machine:
    """One QEMU, and the only client of its monitor. `systems` are base images; disks lie in `directory`."""

    def __init__(self, directory: Path, systems: list[Path]) -> None:
        directory.mkdir(parents=True)
        self._directory, self._systems = directory, systems
        self._generation = 0
        self.plain = False
        self._console = directory / "console"
        self._config = directory / "config"
        self._config.write_bytes(bytes(1 << 20))

    def start(self) -> None:
        """A new QEMU whose processors run, with a new disk."""
        self._generation += 1
        self._make_disk()
        self._console.write_bytes(b"")
        monitor = self._directory / "monitor"
        monitor.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(monitor))
            listening.listen(1)
            self._process = subprocess.Popen(
                self._command_line(listening.fileno()), pass_fds=[listening.fileno()]
            )
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(str(monitor))
        self._lines = self._socket.makefile("r")
        self._lines.readline()  # QEMU's greeting.
        self.do("qmp_capabilities")
        self.do("cont")

    def end(self) -> None:
        self.do("quit")
        self._process.wait()
        self._lines.close()
        self._socket.close()
        self._disk(self._generation).unlink()

    def swap(self) -> tuple[float, float]:
        """Another disk under the live QEMU. Returns when the guest stopped, and when the new one ran."""
        old = self._generation
        self._generation += 1
        self._make_disk()
        for node in self._nodes():
            self.do("blockdev-add", node)
        debugger = None if self.plain else self._attach_debugger()
        stopped = time.monotonic()
        self.do("stop")
        self.do("blockdev-reopen", {"options": self._devices()})
        self.do("system_reset")
        self._wait_for_reset()
        if debugger:
            self._forget_code(debugger)
        self._console.write_bytes(b"")
        self.do("cont")
        runs = time.monotonic()
        for name in ("root", "base", "config"):
            self.do("blockdev-del", {"node-name": f"{name}-{old}"})
        self._disk(old).unlink()
        return stopped, runs

    def speaks(self) -> float:
        """When the guest that was started last said its marker."""
        marker = f"system {self._generation % SYSTEMS}".encode()
        deadline = time.monotonic() + PATIENCE
        while marker not in self._console.read_bytes():
            if time.monotonic() > deadline:
                raise SystemExit("a new guest did not speak: no figure is valid")
            time.sleep(LOOK_AGAIN)
        return time.monotonic()

    def do(
        self, command: str, arguments: dict[str, Any] | None = None, descriptors: Sequence[int] = ()
    ) -> None:
        request = {"execute": command, "arguments": arguments or {}}
        self._reset = False
        # QEMU reads byte by byte, each in a turn of its main loop: no space that need not be.
        line = json.dumps(request, separators=(",", ":")).encode() + b"\n"
        socket.send_fds(self._socket, [line], descriptors)
        while "return" not in (answer := self._next()):
            if "error" in answer:
                raise SystemExit(f"{command}: {answer['error']['desc']}")

    def _attach_debugger(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            self.do("getfd", {"fdname": "d"}, [theirs.fileno()])
        address = {"type": "fd", "data": {"str": "d"}}
        backend = {"type": "socket", "data": {"addr": address, "server": False}}
        self.do("chardev-add", {"id": "d", "backend": backend})
        return ours

    def _forget_code(self, debugger: socket.socket) -> None:
        with debugger:
            self._tell("gdbserver chardev:d")
            debugger.sendall(b"$s#73")
            said = b""
            while b"$T05" not in said:
                said += debugger.recv(256)
            self._tell("gdbserver none")

    def _tell(self, line: str) -> None:
        self.do("human-monitor-command", {"command-line": line})

    def _wait_for_reset(self) -> None:
        while not self._reset:
            self._next()

    def _next(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._lines.readline())
        if answer.get("event") == "RESET" and not answer["data"]["guest"]:
            self._reset = True
        return answer

    def _disk(self, generation: int) -> Path:
        return self._directory / f"root-{generation}"

    def _make_disk(self) -> None:
        """A copy of an overlay that qemu-img made once: no process is started for it."""
        base = self._systems[self._generation % SYSTEMS]
        shutil.copyfile(base.with_suffix(".overlay"), self._disk(self._generation))

    def _nodes(self) -> list[dict[str, Any]]:
        number = self._generation
        base, root = self._systems[number % SYSTEMS], self._disk(number)
        return [
            {"node-name": f"base-{number}", "driver": "qcow2", "read-only": True, "file": _file(base)},
            {
                "node-name": f"root-{number}",
                "driver": "qcow2",
                "file": _file(root) | {"read-only": False},
                "backing": f"base-{number}",
            },
            {"node-name": f"config-{number}", **_file(self._config)},
        ]

    def _devices(self) -> list[dict[str, Any]]:
        root = {"driver": "raw", "node-name": "root", "file": f"root-{self._generation}"}
        config = {"driver": "raw", "node-name": "config", "file": f"config-{self._generation}"}
        return [root, config | {"read-only": True}]

    def _command_line(self, monitor: int) -> list[str]:
        disks = [
            argument
            for node in [*self._nodes(), *self._devices()]
            for argument in ("-blockdev", json.dumps(node))
        ]
        return [
            *("qemu-system-x86_64", "-no-user-config", "-nodefaults", "-display", "none"),
            *("-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "1", "-m", f"{RAM_MIB}M"),
            *("-S", "-no-shutdown", "-boot", "strict=on,reboot-timeout=1000"),
            *("-chardev", f"socket,id=qmp,fd={monitor},server=on,wait=off"),
            *("-mon", "chardev=qmp,mode=control"),
            *("-chardev", f"null,id=serial,logfile={self._console},logappend=on"),
            *("-serial", "chardev:serial", "-chardev", "null,id=agent", "-device", "virtio-serial-pci"),
            *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
            *("-device", "pvpanic-pci", "-device", "virtio-rng-pci"),
            *(*disks, "-device", "virtio-blk-pci,drive=root,bootindex=0"),
            *("-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net,romfile="),
            *("-device", "virtio-blk-pci,drive=config"),
        ]


def _file(path: Path) -> dict[str, Any]:
    return {"driver": "file", "filename": str(path), "read-only": True}


def write_systems(directory: Path) -> list[Path]:
    systems = []
    for number in range(SYSTEMS):
        base = write_image(directory / f"{number}.qcow2", f"system {number}", disk_format="qcow2")
        options = ["-q", "-f", "qcow2", "-b", str(base), "-F", "qcow2"]
        subprocess.run(["qemu-img", "create", *options, base.with_suffix(".overlay"), DISK], check=True)
        systems.append(base)
    return systems


@contextmanager
def running(directory: Path, systems: list[Path], count: int) -> Iterator[list[Machine]]:
    """So many machines whose guests have spoken."""
    with ExitStack() as stack:
        machines = []
        for number in range(count):
            machine = Machine(directory / str(number), systems)
            machine.start()
            stack.callback(machine.end)
            machines.append(machine)
        for machine in machines:
            machine.speaks()
        yield machines


def one_by_one(machine: Machine, count: int) -> dict[str, list[float]]:
    """Milliseconds of single swaps of both kinds, then of single respawns."""
    figures: dict[str, list[float]] = {}

    def add(name: str, begun: float, ended: float) -> None:
        figures.setdefault(name, []).append((ended - begun) * 1000)

    for kind, plain in KINDS:
        machine.plain = plain
        for _ in range(count):
            begun = time.monotonic()
            stopped, runs = machine.swap()
            add(f"{kind}swap", begun, runs)
            add(f"{kind}swap off air", stopped, runs)
            add(f"{kind}swap speaks", begun, machine.speaks())
    for _ in range(count):
        begun = time.monotonic()
        machine.end()
        machine.start()
        add("respawn", begun, time.monotonic())
        add("respawn speaks", begun, machine.speaks())
    return figures


def all_at_once(machines: list[Machine], drivers: int) -> tuple[float, float]:
    """Swaps per second where each driver swaps its machines one after the other: until the last new guest
    runs, and until the last has spoken.
    """
    spoke: list[float] = []
    ran: list[float] = []

    def drive(own: list[Machine]) -> None:
        ran.extend([machine.swap()[1] for machine in own])
        spoke.extend([machine.speaks() for machine in own])

    threads = [threading.Thread(target=drive, args=(machines[n::drivers],)) for n in range(drivers)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(spoke) != len(machines):
        raise SystemExit("a new guest did not speak: no figure is valid")
    return len(machines) / (max(ran) - begun), len(machines) / (max(spoke) - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, required=True, help="single swaps, and respawns")
    parser.add_argument("--machines", type=int, required=True, help="that are swapped at once")
    parser.add_argument("--drivers", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True, help="of all machines at once")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="renova-floor-") as path:
        directory = Path(path)
        systems = write_systems(directory)
        figures: dict[str, list[float]] = {}
        with running(directory / "one", systems, 1) as (machine,):
            figures |= one_by_one(machine, options.count)
        with running(directory / "all", systems, options.machines) as machines:
            for kind, plain in KINDS:
                for machine in machines:
                    machine.plain = plain
                rounds = [all_at_once(machines, options.drivers) for _ in range(options.rounds)]
                per_second = map(list, zip(*rounds, strict=True))
                figures[f"{kind}swaps/s"], figures[f"{kind}swaps, first words/s"] = per_second
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
