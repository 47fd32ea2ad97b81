"""How much of its host one QEMU process may take, whatever a guest has made of it.

Where the kernel's control groups (version 2) have memory and pids for us, each QEMU has a group of its own.
Elsewhere it has resource limits: of its address space, which is much more than it ever uses, and of the
threads of its user, all machines together. Sources: the kernel's admin-guide/cgroup-v2.rst; setrlimit(2).
"""

import logging
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from renova.agent.qemu.spec import MachineSpec
from renova.errors import RenovaError

log = logging.getLogger(__name__)
MIB = 1024**2
CGROUPS = Path("/sys/fs/cgroup")
CONTROLLERS = frozenset({"memory", "pids"})
# MiB beside the guest's memory: code that TCG has translated (1 GiB at most), tables of qcow2, queues.
MEMORY = 1536
# The same for an address space, where each thread reserves a stack and room to allocate from.
ADDRESSES = 8192
# QEMU's workers for disks are 64 at most; the rest are one for each processor and some.
THREADS = 128
THREADS_OF_USER = 8192


class Bounds(Protocol):
    def started_by(self, spec: MachineSpec, /) -> list[str]:
        """What comes before QEMU's own arguments."""

    def enclose(self, spec: MachineSpec, pid: int) -> None:
        """Called before the machine runs. Blocks. Raises RenovaError."""

    def forget(self, server_id: str) -> None:
        """Called when the process is gone. Blocks."""


def find_bounds(cgroups: Path = CGROUPS) -> Bounds:
    """Whichever this host has."""
    group = _group(cgroups)
    log.info("QEMU is bounded by %s", "resource limits" if group is None else f"control groups in {group}")
    return ResourceLimits() if group is None else ControlGroups(group)


def _group(cgroups: Path) -> Path | None:
    """Our group, with both controllers for the groups in it; None where the kernel or the host says no."""
    group = cgroups / "renova"
    try:
        there = (cgroups / "cgroup.controllers").read_text().split()
        if not CONTROLLERS.issubset(there):
            return None
        for above in (cgroups, group):
            group.mkdir(exist_ok=True)
            enabled = " ".join(f"+{name}" for name in sorted(CONTROLLERS))
            (above / "cgroup.subtree_control").write_text(enabled)
    except OSError:
        return None
    return group


class ResourceLimits:
    def started_by(self, spec: MachineSpec) -> list[str]:
        address_space = (spec.ram_mib + ADDRESSES) * MIB
        return ["prlimit", "--core=0", f"--as={address_space}", f"--nproc={THREADS_OF_USER}", "--"]

    def enclose(self, spec: MachineSpec, pid: int) -> None:
        """The limits are there from the first instruction on."""

    def forget(self, server_id: str) -> None:
        """They went with the process."""


class ControlGroups:
    """`directory` holds a group for each server that runs."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def started_by(self, _: MachineSpec) -> list[str]:
        return ["prlimit", "--core=0", "--"]

    def enclose(self, spec: MachineSpec, pid: int) -> None:
        group = self._directory / spec.server_id
        try:
            group.mkdir(exist_ok=True)
            (group / "memory.max").write_text(str((spec.ram_mib + MEMORY) * MIB))
            (group / "pids.max").write_text(str(spec.vcpus + THREADS))
            (group / "cgroup.procs").write_text(str(pid))
        except OSError as error:
            raise RenovaError(f"QEMU can't be bounded by {group}: {error.strerror}") from error

    def forget(self, server_id: str) -> None:
        with suppress(OSError):
            (self._directory / server_id).rmdir()
