"""What a virtual machine is made from: values only, the same in memory and in a run directory's spec.json."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Self


@dataclass(frozen=True)
class NetworkCard:
    """One port of a server.

    `cidr` is the port's network, `address` the one lease that its DHCP server gives. `gateway` and `dns` are
    addresses of that network which are never given to a server. With a `tap`, the card is plugged into the
    host's `bridge` by it; without, it is on a user network of its own, where `ssh_port` of the host's
    loopback leads to the guest's port 22, and only `outbound` lets the guest out.
    """

    mac: str
    address: str
    cidr: str
    gateway: str
    dns: str
    ssh_port: int | None = None
    outbound: bool = False
    tap: str | None = None
    bridge: str | None = None


@dataclass(frozen=True)
class MachineSpec:
    """One generation of a server, ready to run. Paths are absolute; `ram_mib` is in MiB.

    `base` is the cached image below the overlay `root`; `base_format` is "qcow2" or "raw". Neither is ever
    looked up in a disk's own header. `config_drive` is an ISO 9660 image or None. `data_disks` are raw files,
    in the order in which the guest sees them.
    """

    server_id: str
    generation: int
    name: str
    vcpus: int
    ram_mib: int
    base: str
    base_format: str
    root: str
    config_drive: str | None = None
    data_disks: tuple[str, ...] = ()
    cards: tuple[NetworkCard, ...] = ()

    def is_same_machine(self, other: Self) -> bool:
        """Whether a QEMU that was started for one can go on as the other: they differ in their disks alone.

        Whatever is added to a spec belongs to the machine, unless it is named here.
        """
        return self._machine() == other._machine()

    def _machine(self) -> Self:
        config_drive = None if self.config_drive is None else ""
        return replace(
            self, generation=0, name="", base="", base_format="", root="", config_drive=config_drive
        )

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises ValueError, TypeError or KeyError where the text is not a spec that this version knows."""
        values = json.loads(text)
        values["cards"] = tuple(NetworkCard(**card) for card in values["cards"])
        # A QEMU that an earlier version started has none.
        values["data_disks"] = tuple(values.get("data_disks", ()))
        return cls(**values)
