"""How an accelerator is chosen: trials with a real QEMU, and what they answer on hosts of another kind."""
# ruff: noqa: ASYNC240  Nothing else runs in a test's event loop.

import asyncio
import json
from pathlib import Path

import pytest
from oslo_config import cfg

from renova.agent.qemu import accelerator
from renova.agent.qemu.accelerator import find_accelerator
from tests.functional.machines import MakeSpec, NextHypervisor

QEMU = "qemu-system-x86_64"


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has much else to do takes longer."""
    monkeypatch.setattr("renova.agent.qemu.accelerator.LIMIT", 30.0)


def program(directory: Path, name: str, script: str) -> str:
    """A QEMU of another kind."""
    path = directory / name
    path.write_text(f"#!/bin/sh\ncase $1 in --version) echo '{name}'; exit;; esac\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.usefixtures("patient")
async def test_tcg_always_speaks_and_the_answer_is_remembered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    memory = tmp_path / "accelerator.json"
    # A QEMU without KVM, wherever this runs.
    qemu = program(tmp_path, "no-kvm", f'case "$*" in *accel=kvm*) exit 1;; esac\nexec {QEMU} "$@"')
    with caplog.at_level("INFO"):
        assert await find_accelerator(qemu, None, memory) == "tcg"
    assert "Accelerator tcg: a boot sector spoke under tcg after" in caplog.text
    known = json.loads(memory.read_text())
    assert known["seconds"]["tcg"] > 0
    assert known["seconds"]["kvm"] is None
    memory.write_text(json.dumps(known | {"accelerator": "kvm"}))
    assert await find_accelerator(qemu, None, memory) == "kvm", "nothing was tried again"


@pytest.mark.parametrize(("slow", "fast"), [("tcg", "kvm"), ("kvm", "tcg")], ids=["real kvm", "emulated kvm"])
async def test_the_faster_one_is_taken(tmp_path: Path, slow: str, fast: str) -> None:
    qemu = program(tmp_path, "qemu", f'case "$*" in *accel={slow}*) sleep 3;; esac\nprintf !; exec sleep 9')
    assert await find_accelerator(qemu, None, tmp_path / "memory") == fast


async def test_another_qemu_is_tried_again(tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    only_kvm = program(tmp_path, "seven", 'case "$*" in *accel=tcg*) exit 1;; esac\nprintf !')
    only_tcg = program(tmp_path, "eight", 'case "$*" in *accel=kvm*) exit 1;; esac\nprintf !')
    assert await find_accelerator(only_kvm, None, memory) == "kvm"
    assert await find_accelerator(only_tcg, None, memory) == "tcg"


async def test_where_nothing_speaks_it_is_tcg_until_something_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accelerator, "LIMIT", 0.2)
    begun = asyncio.get_running_loop().time()
    memory = tmp_path / "memory"
    assert await find_accelerator(program(tmp_path, "mute", "exec sleep 60"), None, memory) == "tcg"
    assert asyncio.get_running_loop().time() - begun < 30
    assert await find_accelerator(str(tmp_path / "absent"), None, memory) == "tcg"
    assert not memory.exists()


@pytest.mark.usefixtures("patient")
async def test_machines_run_under_what_was_found(
    next_hypervisor: NextHypervisor, conf: cfg.ConfigOpts, make_spec: MakeSpec, place: Path
) -> None:
    conf.set_override("state_path", str(place))
    conf.set_override("accelerator", "auto", group="compute")

    machine = await next_hypervisor().start(make_spec())

    found = json.loads((place / "accelerator.json").read_text())["accelerator"]
    arguments = Path(f"/proc/{machine.pid}/cmdline").read_bytes().split(b"\0")
    assert f"q35,accel={found}".encode() in arguments


def test_the_sector_is_one() -> None:
    assert len(accelerator.SECTOR) == 512
    assert accelerator.SECTOR.endswith(b"\x55\xaa")
