"""A resize on a running cloud: real QEMU, a guest of one sector."""

import json
import subprocess
from typing import Any

from renova.agent.qemu.spec import MachineSpec
from tests.functional.cloud_client import Client
from tests.guest.boot_sector import Then
from tests.waiting import wait_until

GIB = 1024**3
SMALL, LARGE = "1", "3"


def disk_size(client: Client, server_id: str, generation: int) -> int:
    path = client.cloud.state.path / "compute" / "servers" / server_id / f"root-{generation}.qcow2"
    info: dict[str, Any] = json.loads(
        subprocess.check_output(["qemu-img", "info", "-U", "--output=json", path])
    )
    return int(info["virtual-size"])


def spec(client: Client, server_id: str) -> MachineSpec:
    """What the QEMU that runs now was started with."""
    return MachineSpec.from_json(
        (client.cloud.state.run_path / "servers" / server_id / "spec.json").read_text()
    )


def resize(client: Client, server_id: str, flavor: str) -> None:
    answer = client.act(server_id, "resize", {"flavorRef": flavor})
    assert answer.status_code == 202, answer.text
    client.wait(server_id, "VERIFY_RESIZE")


def test_larger_and_back_and_larger_for_good(client: Client) -> None:
    server_id = client.new(client.image("I grow", Then.OBEY))
    client.wait_for_line(server_id, "I grow")
    before = client.show(server_id)
    resize(client, server_id, LARGE)
    client.wait_for_line(server_id, "I grow")
    assert client.show(server_id)["flavor"]["original_name"] == "m1.small"
    assert (spec(client, server_id).ram_mib, disk_size(client, server_id, 2)) == (512, 5 * GIB)

    assert client.act(server_id, "rebuild", {"imageRef": before["image"]["id"]}).status_code == 409
    assert client.act(server_id, "os-stop").status_code == 409
    assert client.act(server_id, "revertResize").status_code == 202
    client.wait(server_id, "ACTIVE")
    client.wait_for_line(server_id, "I grow")
    assert (spec(client, server_id).ram_mib, disk_size(client, server_id, 1)) == (128, GIB)
    after = client.show(server_id)
    for kept in ("addresses", "flavor", "image", "hostId", "created"):
        assert after[kept] == before[kept]
    first = {"root-1.qcow2", "config-1.iso"}
    wait_until(lambda: client.files(server_id) == first, "nothing is left of the resize")

    resize(client, server_id, LARGE)
    assert client.act(server_id, "confirmResize").status_code == 204
    client.wait(server_id, "ACTIVE")
    client.wait_for_line(server_id, "I grow")
    third = {"root-3.qcow2", "config-3.iso"}
    wait_until(lambda: client.files(server_id) == third, "the disk before is gone")
    assert client.act(server_id, "resize", {"flavorRef": SMALL}).status_code == 400, "a disk never shrinks"
