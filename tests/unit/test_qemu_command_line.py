"""What QEMU is told: the arguments, and the spec that they are made from."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from renova.agent.qemu import MachineSpec, NetworkCard
from renova.agent.qemu.command_line import command_line
from renova.agent.qemu.inherited import Disks, Inherited, OpenFile

CARD = NetworkCard("fa:16:3e:00:00:01", "10.1.0.9", "10.1.0.0/24", "10.1.0.1", "10.1.0.2")
SPEC = MachineSpec(
    server_id="5ba5a66f-1d3c-4d2d-9b1b-1f0e8f4dbe0e",
    generation=3,
    name="web,accel=kvm",
    vcpus=2,
    ram_mib=512,
    base="/state/images/sha512-ab.qcow2",
    base_format="qcow2",
    root="/state/servers/x/root-3.qcow2",
    config_drive="/state/servers/x/config-3.iso",
    cards=(CARD, replace(CARD, mac="fa:16:3e:00:00:02", address="10.1.0.10")),
)
INHERITED = Inherited(
    disks=Disks(
        base=OpenFile(10, SPEC.base),
        root=OpenFile(11, SPEC.root),
        config_drive=OpenFile(12, str(SPEC.config_drive)),
    ),
    data_disks=(),
    console=OpenFile(13, "/run/renova/servers/x/console.log"),
    errors=14,
    sockets={"qmp": 15, "qga": 16, "serial": 17},
)


def arguments(option: str, spec: MachineSpec = SPEC, inherited: Inherited = INHERITED) -> list[str]:
    line = command_line("qemu-system-x86_64", "tcg", spec, inherited)
    return [value for name, value in pairwise(line) if name == option]


def nodes(spec: MachineSpec = SPEC) -> dict[str, dict[str, Any]]:
    return {node["node-name"]: node for node in map(json.loads, arguments("-blockdev", spec))}


def test_a_spec_survives_its_file() -> None:
    assert MachineSpec.from_json(SPEC.to_json()) == SPEC
    with_data = replace(SPEC, data_disks=("/state/servers/x/ephemeral-1.raw",))
    assert MachineSpec.from_json(with_data.to_json()) == with_data


@pytest.mark.parametrize("text", ["", "{}", '{"cards": []}', '{"cards": [{"mac": 1}]}'])
def test_a_spec_of_another_form_is_refused(text: str) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        MachineSpec.from_json(text)


def test_a_machine_goes_on_with_other_disks_and_with_nothing_else_of_another() -> None:
    new = replace(SPEC, generation=4, name="db", base="/b", base_format="raw", root="/r", config_drive="/c")
    assert SPEC.is_same_machine(new)
    other = (
        replace(new, vcpus=1),
        replace(new, ram_mib=64),
        replace(new, cards=()),
        replace(new, config_drive=None),
    )
    assert not [machine for machine in other if SPEC.is_same_machine(machine)]


def test_qemu_follows_no_path_and_no_header() -> None:
    made = nodes()
    assert made["root"] == {"driver": "raw", "node-name": "root", "file": "root-3"}
    assert made["config"] == {"driver": "raw", "node-name": "config", "read-only": True, "file": "config-3"}
    assert made["root-3"] == {
        "driver": "qcow2",
        "node-name": "root-3",
        "file": {"driver": "file", "filename": "/dev/fdset/11"},
        "backing": {
            "driver": "qcow2",
            "file": {"driver": "file", "filename": "/dev/fdset/10"},
            "backing": None,
        },
    }
    assert made["config-3"] == {
        "driver": "file",
        "node-name": "config-3",
        "filename": "/dev/fdset/12",
        "read-only": True,
    }
    assert set(made) == {"root", "config", "root-3", "config-3"}


def test_a_raw_base_is_raw_whatever_it_contains() -> None:
    base = nodes(replace(SPEC, base_format="raw"))["root-3"]["backing"]
    assert base["driver"] == "raw"
    assert "backing" not in base


def test_a_card_is_closed_in_and_has_one_lease() -> None:
    first, second = arguments("-netdev")
    assert first == (
        "user,id=net0,restrict=on,ipv6=off,net=10.1.0.0/24,host=10.1.0.1,dns=10.1.0.2,dhcpstart=10.1.0.9"
    )
    assert second.endswith("dhcpstart=10.1.0.10")
    assert "virtio-net-pci,id=card1,netdev=net1,mac=fa:16:3e:00:00:02,romfile=" in arguments("-device")


def test_a_card_on_a_bridge_is_a_tap_that_qemu_inherits() -> None:
    spec = replace(SPEC, cards=(replace(CARD, tap="rv0", bridge="rnv0"),))
    inherited = replace(INHERITED, taps={"rv0": 18})
    assert arguments("-netdev", spec, inherited) == ["tap,id=net0,fd=18"]
    assert 18 in inherited.numbers


def test_a_forwarded_port_leads_to_the_guest_and_outbound_opens_the_network() -> None:
    (network,) = arguments("-netdev", replace(SPEC, cards=(replace(CARD, ssh_port=20022, outbound=True),)))
    assert network == (
        "user,id=net0,restrict=off,ipv6=off,net=10.1.0.0/24,host=10.1.0.1,dns=10.1.0.2,dhcpstart=10.1.0.9,"
        "hostfwd=tcp:127.0.0.1:20022-10.1.0.9:22"
    )


def test_cards_have_the_same_place_with_and_without_a_config_drive() -> None:
    without = arguments("-device", replace(SPEC, config_drive=None))
    assert arguments("-device") == [*without, "virtio-blk-pci,id=config-disk,drive=config"]


def test_a_write_that_fails_stops_the_guest() -> None:
    (root,) = [device for device in arguments("-device") if "drive=root" in device]
    assert root == "virtio-blk-pci,id=root-disk,drive=root,bootindex=0,werror=stop,rerror=report"


def test_data_disks_come_last_and_are_raw_whatever_they_contain() -> None:
    disks = (OpenFile(20, "/state/servers/x/ephemeral-1.raw"), OpenFile(21, "/state/servers/x/swap-3.raw"))
    inherited = replace(INHERITED, data_disks=disks)
    assert arguments("-device", inherited=inherited) == [
        *arguments("-device"),
        "virtio-blk-pci,id=data-disk0,drive=data-0,werror=stop,rerror=report",
        "virtio-blk-pci,id=data-disk1,drive=data-1,werror=stop,rerror=report",
    ]
    made = [json.loads(node) for node in arguments("-blockdev", inherited=inherited)][-2:]
    assert [(node["driver"], node["file"]["filename"]) for node in made] == [
        ("raw", "/dev/fdset/20"),
        ("raw", "/dev/fdset/21"),
    ]
    assert set(inherited.numbers) - set(INHERITED.numbers) == {20, 21}


def test_a_name_can_not_become_an_option() -> None:
    assert arguments("-name") == ["guest=web,,accel=kvm,debug-threads=on"]


def test_what_qemu_inherits_is_what_it_is_told_of() -> None:
    fds = arguments("-add-fd")
    assert fds[0] == "fd=10,set=10,opaque=/state/images/sha512-ab.qcow2"
    assert [int(fd.split(",")[0].removeprefix("fd=")) for fd in fds] == [10, 11, 12, 13]
    assert INHERITED.numbers == [10, 11, 12, 13, 15, 16, 17]
    assert [chardev.split(",")[2] for chardev in arguments("-chardev")] == ["fd=15", "fd=17", "fd=16"]


def test_a_machine_waits_and_is_confined() -> None:
    line = command_line("qemu-system-x86_64", "tcg", SPEC, INHERITED)
    assert {"-S", "-no-shutdown", "-nodefaults", "-no-user-config"} <= set(line)
    assert arguments("-sandbox") == [
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
    ]
    assert arguments("-cpu") == ["max"]
    assert arguments("-smbios") == ["type=1,manufacturer=Renova,product=OpenStack Compute"]
    assert "q35,accel=kvm" in command_line("qemu-system-x86_64", "kvm", SPEC, INHERITED)
