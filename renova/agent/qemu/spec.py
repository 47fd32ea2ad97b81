"""What a virtual machine is made from: values only, the same in memory and in a run directory's spec.json."""

import json
from dataclasses import asdict, dataclass
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
    looked up in a disk's own header. `config_drive` is an ISO 9660 image or None.
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
    cards: tuple[NetworkCard, ...] = ()

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises ValueError, TypeError or KeyError where the text is not a spec that this version knows."""
        values = json.loads(text)
        values["cards"] = tuple(NetworkCard(**card) for card in values["cards"])
        return cls(**values)
