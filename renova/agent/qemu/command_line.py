"""The arguments of one QEMU process.

QEMU is given no path: each file and listening socket is a descriptor that it inherits, so that its
unprivileged user needs no access to any directory of ours. Sources: the manual page of qemu-system-x86_64,
and QEMU's QAPI reference for -blockdev.
"""

import json

from renova.agent.qemu.accelerator import CPU
from renova.agent.qemu.block_nodes import device_nodes, file_node, generation_nodes
from renova.agent.qemu.inherited import Disks, Inherited, OpenFile
from renova.agent.qemu.run_directory import GUEST_AGENT, QMP, SERIAL
from renova.agent.qemu.spec import MachineSpec, NetworkCard

# A guest that breaks out of QEMU gets no new privileges, processes or obsolete system calls.
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
GUEST_AGENT_PORT = "guest-agent"
# A write that the host can't do stops the guest, which knows nothing of it, and is done once more by `cont`.
# A read that fails will not succeed later: the guest is told, as by a disk of metal.
ON_ERROR = "werror=stop,rerror=report"
# cloud-init looks for OpenStack's metadata service only where the machine calls itself so, as Nova's do.
SMBIOS = "type=1,manufacturer=Renova,product=OpenStack Compute"


def command_line(program: str, accelerator: str, spec: MachineSpec, inherited: Inherited) -> list[str]:
    """QEMU's argv for a machine that waits for `cont`. `accelerator` is "tcg" or "kvm"."""
    return [
        program,
        *("-no-user-config", "-nodefaults", "-display", "none"),
        *("-machine", f"q35,accel={accelerator}", "-cpu", CPU[accelerator]),
        *("-smp", f"cpus={spec.vcpus}", "-m", f"size={spec.ram_mib}M"),
        *("-S", "-no-shutdown"),
        *("-uuid", spec.server_id, "-name", f"guest={_escaped(spec.name)},debug-threads=on"),
        *("-sandbox", SANDBOX),
        *("-smbios", SMBIOS),
        *("-boot", "strict=on,reboot-timeout=1000"),
        *_add_fds(inherited),
        *_consoles(inherited),
        *("-device", "pvpanic-pci"),
        *("-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng"),
        *_disks(spec, inherited.disks),
        *_cards(spec.cards, inherited.taps),
        # Last, so that cards have the same PCI slots, hence the same names, with and without it.
        *_config_drive(spec),
        *_data_disks(inherited.data_disks),
    ]


def _add_fds(inherited: Inherited) -> list[str]:
    arguments = []
    for file in inherited.files:
        arguments += ["-add-fd", f"fd={file.number},set={file.number},opaque={_escaped(file.path)}"]
    return arguments


def _consoles(inherited: Inherited) -> list[str]:
    """The monitor, the serial port (a live socket and the console log in one) and the guest agent's port."""

    def chardev(name: str, *options: str) -> list[str]:
        listening = f"socket,id={name},fd={inherited.sockets[name]},server=on,wait=off"
        return ["-chardev", ",".join((listening, *options))]

    return [
        *(*chardev(QMP), "-mon", f"chardev={QMP},mode=control"),
        *chardev(SERIAL, f"logfile={inherited.console.reference}", "logappend=on"),
        *("-serial", f"chardev:{SERIAL}"),
        *(*chardev(GUEST_AGENT), "-device", "virtio-serial-pci"),
        *(
            "-device",
            f"virtserialport,id={GUEST_AGENT_PORT},chardev={GUEST_AGENT},name=org.qemu.guest_agent.0",
        ),
    ]


def _disks(spec: MachineSpec, disks: Disks) -> list[str]:
    """The block nodes, and the device of the root disk."""
    nodes = [*generation_nodes(spec, disks), *device_nodes(spec)]
    arguments = [argument for node in nodes for argument in ("-blockdev", json.dumps(node))]
    return [*arguments, "-device", f"virtio-blk-pci,id=root-disk,drive=root,bootindex=0,{ON_ERROR}"]


def _config_drive(spec: MachineSpec) -> list[str]:
    """A read-only virtio disk: Debian's cloud kernel has no driver for the CD of a q35 machine."""
    return ["-device", "virtio-blk-pci,id=config-disk,drive=config"] if spec.config_drive else []


def _data_disks(files: tuple[OpenFile, ...]) -> list[str]:
    """They stay as long as the machine: where a generation has others, its QEMU is another."""
    arguments = []
    for number, file in enumerate(files):
        node = {"driver": "raw", "node-name": f"data-{number}", "file": file_node(file)}
        device = f"virtio-blk-pci,id=data-disk{number},drive=data-{number},{ON_ERROR}"
        arguments += ["-blockdev", json.dumps(node), "-device", device]
    return arguments


def _cards(cards: tuple[NetworkCard, ...], taps: dict[str, int]) -> list[str]:
    """The empty option ROM leaves out network boot, which strict boot order rules out anyway."""
    arguments = []
    for number, card in enumerate(cards):
        device = f"virtio-net-pci,id=card{number},netdev=net{number},mac={card.mac},romfile="
        network = f"tap,id=net{number},fd={taps[card.tap]}" if card.tap else _user_network(number, card)
        arguments += ["-netdev", network, "-device", device]
    return arguments


def _user_network(number: int, card: NetworkCard) -> str:
    """QEMU's user network. Restricted, the guest reaches neither the host's loopback nor anything beyond.

    `host` and `dns` are always given: their defaults lie among the addresses that servers get.
    """
    restrict = "off" if card.outbound else "on"
    network = f"net={card.cidr},host={card.gateway},dns={card.dns},dhcpstart={card.address}"
    forward = f",hostfwd=tcp:127.0.0.1:{card.ssh_port}-{card.address}:22" if card.ssh_port else ""
    return f"user,id=net{number},restrict={restrict},ipv6=off,{network}{forward}"


def _escaped(value: str) -> str:
    """A comma in a value is doubled, or QEMU reads another option from there on."""
    return value.replace(",", ",,")
