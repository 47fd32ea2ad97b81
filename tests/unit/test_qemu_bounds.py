"""Which bounds a host has for its QEMUs. What is in force on this one, test_machine reads back."""

from pathlib import Path

import pytest

from renova.agent.qemu import MachineSpec
from renova.agent.qemu.bounds import MEMORY, MIB, ControlGroups, ResourceLimits, find_bounds
from renova.errors import RenovaError

SPEC = MachineSpec("5ba5a66f-1d3c-4d2d-9b1b-1f0e8f4dbe0e", 1, "web", 2, 512, "/base", "raw", "/root")


def test_control_groups_with_both_controllers_are_used(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids\n")

    bounds = find_bounds(tmp_path)

    for directory in (tmp_path, tmp_path / "renova"):
        assert (directory / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert bounds.started_by(SPEC) == ["prlimit", "--core=0", "--"]
    bounds.enclose(SPEC, 4711)
    group = tmp_path / "renova" / SPEC.server_id
    assert {path.name: path.read_text() for path in group.iterdir()} == {
        "memory.max": str((512 + MEMORY) * MIB),
        "pids.max": "130",
        "cgroup.procs": "4711",
    }


@pytest.mark.parametrize("controllers", ["cpu memory", "hugetlb", None])
def test_without_them_resource_limits_take_their_place(tmp_path: Path, controllers: str | None) -> None:
    if controllers is not None:
        (tmp_path / "cgroup.controllers").write_text(controllers)
    bounds = find_bounds(tmp_path)
    assert isinstance(bounds, ResourceLimits)
    assert f"--as={(512 + 8192) * MIB}" in bounds.started_by(SPEC)


def test_control_groups_that_we_may_not_divide_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("memory pids")
    # In a container the kernel refuses this to who is not alone in the group: EBUSY.
    (tmp_path / "cgroup.subtree_control").mkdir()
    assert isinstance(find_bounds(tmp_path), ResourceLimits)


def test_a_machine_that_can_not_be_bounded_does_not_run(tmp_path: Path) -> None:
    with pytest.raises(RenovaError, match="QEMU can't be bounded"):
        ControlGroups(tmp_path / "gone").enclose(SPEC, 4711)


def test_a_group_goes_with_its_machine(tmp_path: Path) -> None:
    (tmp_path / SPEC.server_id).mkdir()
    bounds = ControlGroups(tmp_path)
    bounds.forget(SPEC.server_id)
    bounds.forget(SPEC.server_id)
    assert not list(tmp_path.iterdir())
