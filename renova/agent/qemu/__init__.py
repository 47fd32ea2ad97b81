"""One host's virtual machines: QEMU over QMP, and a fake with the same face for tests."""

from renova.agent.qemu.face import EndCallback, Hypervisor, Machine
from renova.agent.qemu.spec import MachineSpec, NetworkCard

__all__ = ["EndCallback", "Hypervisor", "Machine", "MachineSpec", "NetworkCard"]
