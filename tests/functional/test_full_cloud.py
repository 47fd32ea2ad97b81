"""A whole cloud on one small disk, filled up by a guest: its PostgreSQL, Glance and images lie there too."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from renova.agent.disks import bytes_of
from renova.agent.qemu.face import NO_SPACE
from renova.cloud.state import State
from tests.functional.cloud_client import Client
from tests.functional.shared_cloud import (
    LOCAL,
    Cloud,
    free_port_offset,
    start_up,
    stop,
    wait_until_ready,
)
from tests.guest.boot_sector import Then
from tests.small_disk import SmallDisk, small_disk
from tests.waiting import wait_until

MIB = 1024**2


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with small_disk(512) as disk:
        yield disk


@pytest.fixture
def small_cloud(disk: SmallDisk, tmp_path: Path) -> Iterator[Cloud]:
    state = State(disk.path / "state", free_port_offset())
    (state.path / "local").mkdir(parents=True)
    state.path.chmod(0o711)
    for name, text in LOCAL.items():
        (state.path / "local" / f"{name}.conf").write_text(text)
    process = start_up(state.path, state.port_offset, tmp_path / "up.log")
    try:
        wait_until_ready(state.path, process, tmp_path / "up.log")
        yield Cloud(state)
    finally:
        stop(state.path, process)


def test_a_guest_that_fills_the_disk_of_a_cloud(small_cloud: Cloud, disk: SmallDisk, tmp_path: Path) -> None:
    client = Client(small_cloud, tmp_path)
    calm = client.new(client.image("calm", Then.COUNT))
    disk.hog(leave=disk.free() // 2)
    # Its disk has 1 GiB, and all of it is written.
    server_id = client.new(client.image("greedy", Then.FILL))

    def stands_still() -> bool:
        server = client.show(server_id)
        why = server.get("fault", {}).get("message", "")
        return (server["status"], server["OS-EXT-STS:power_state"]) == ("ACTIVE", 3) and NO_SPACE in why

    wait_until(stands_still, "the guest stands still, and its server says why")
    root = small_cloud.state.path / "compute" / "servers" / server_id / "root-1.qcow2"
    written = bytes_of(root)
    # The others live on.
    said = client.console(calm).count("tick")
    wait_until(lambda: client.console(calm).count("tick") > said, "the calm one counts on")
    disk.release()
    wait_until(lambda: bytes_of(root) > written + 40 * MIB, "the greedy one goes on")
    wait_until(lambda: disk.free() < MIB and stands_still(), "and stands still again")

    # No room is kept for a rebuild now: it is refused before the guest that runs is touched.
    pid = client.pid(calm)
    answer = client.act(calm, "rebuild", {"imageRef": client.show(server_id)["image"]["id"]})
    assert answer.status_code == 202, answer.text
    client.wait(calm, "ACTIVE")
    assert client.show(calm)["fault"]["message"].startswith("Error: fetch_image: The host's disk has ")
    assert client.pid(calm) == pid

    # Deleting needs no room, and gives all of it back.
    client.close()
    assert disk.free() > 200 * MIB
    assert not list((small_cloud.state.path / "compute" / "servers").iterdir())
