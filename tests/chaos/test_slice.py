"""A slice of `make chaos`: some cells of its table, on a cloud of their own."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.cells import KILL_AGENT, KILL_EVERYTHING, Cell
from chaos.cloud import ChaosCloud
from chaos.matrix import run_batch
from chaos.moments import UNDO
from chaos.orders import AFTER, BEFORE, ERROR, IN, KILL_QEMU
from chaos.servers import Owner
from tests.functional.shared_cloud import free_port_offset


@pytest.fixture(scope="module")
def owner() -> Iterator[Owner]:
    home = Path(tempfile.mkdtemp(prefix="renova-chaos-"))
    home.chmod(0o711)
    cloud = ChaosCloud(home, free_port_offset())
    cloud.make()
    try:
        cloud.start()
        owner = Owner(cloud)
        yield owner
        owner.client.http.close()
    finally:
        cloud.stop()
        shutil.rmtree(home)


def test_faults_of_one_server_each(owner: Owner) -> None:
    fails, swap = Cell("rebuild", "verify_guest", BEFORE, ERROR), f"{UNDO}swap_generation"
    killed = [Cell("rebuild", "start_guest", AFTER, KILL_QEMU), Cell("rebuild", "fetch_image", IN, KILL_QEMU)]
    outcomes = run_batch(owner, [fails, *killed, Cell("rebuild", swap, AFTER, ERROR)])
    assert [outcome.complaints for outcome in outcomes] == [[], [], [], []]
    assert [outcome.system for outcome in outcomes] == ["old OS", "old OS", "new OS", "old OS"]
    assert "an error before verify_guest" in outcomes[0].result
    assert "killed by signal 9" in outcomes[1].result
    assert outcomes[1].fired.startswith("killed "), outcomes[1].fired
    assert f"an error after {swap}" in outcomes[3].result
    assert outcomes[3].revived == "ERROR, undoRebuild"


@pytest.mark.parametrize("fault", [KILL_AGENT, KILL_EVERYTHING])
def test_faults_of_all_at_once(owner: Owner, fault: str) -> None:
    places = [("swap_generation", IN), ("start_guest", IN), (f"{UNDO}stop_guest", IN)]
    outcomes = run_batch(owner, [Cell("rebuild", deed, moment, fault) for deed, moment in places])
    assert [outcome.complaints for outcome in outcomes] == [[], [], []]
    assert [outcome.system for outcome in outcomes] == ["new OS", "new OS", "old OS"]
    assert all(outcome.fired for outcome in outcomes)


def test_a_fault_that_never_fires_is_no_success(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaos.matrix.REACHED", 3)
    (outcome,) = run_batch(owner, [Cell("rebuild", "no_such_step", BEFORE, ERROR)])
    assert [complaint["kind"] for complaint in outcome.complaints] == ["not fired"]
    assert list((owner.cloud.orders.path / "ordered").iterdir()) == []
