"""createImage on a running cloud: real Glance, real QEMU, guests of one sector."""

from typing import Any

import pytest

from tests.functional.cloud_client import Client
from tests.guest.boot_sector import Then
from tests.waiting import wait_until


def image_of(client: Client, server_id: str, **more: Any) -> dict[str, Any]:
    """Glance's record of a new image of the server, once it has its data."""
    answer = client.act(server_id, "createImage", {"name": "a copy", **more})
    assert answer.status_code == 202, answer.text
    assert "Location" not in answer.headers
    image_id: str = answer.json()["image_id"]
    client.images.append(image_id)
    url = f"{client.cloud.image_url}/v2/images/{image_id}"

    def record() -> dict[str, Any]:
        shown: dict[str, Any] = client.http.get(url).raise_for_status().json()
        return shown

    assert record()["status"] in {"queued", "saving", "active"}
    wait_until(lambda: record()["status"] == "active", "the image has its data")
    return record()


def without_task(client: Client, server_id: str) -> dict[str, Any]:
    wait_until(lambda: client.show(server_id)["OS-EXT-STS:task_state"] is None, "the action has ended")
    return client.show(server_id)


@pytest.mark.parametrize("status", ["ACTIVE", "SHUTOFF"])
def test_a_server_is_made_and_rebuilt_from_an_image_of_another(client: Client, status: str) -> None:
    base = client.image("copy me", Then.OBEY)
    server_id = client.new(base)
    client.wait_for_line(server_id, "copy me")
    if status == "SHUTOFF":
        assert client.act(server_id, "os-stop").status_code == 202
        client.wait(server_id, status)
    before, files = client.show(server_id), client.files(server_id)
    pid = client.pid(server_id) if status == "ACTIVE" else None

    image = image_of(client, server_id, metadata={"purpose": "test"})
    assert (image["name"], image["image_type"], image["purpose"]) == ("a copy", "snapshot", "test")
    assert (image["instance_uuid"], image["base_image_ref"]) == (server_id, base)
    assert (image["min_disk"], image["disk_format"], image["visibility"]) == (1, "qcow2", "private")
    after = without_task(client, server_id)
    assert (after["status"], after["image"]) == (status, before["image"])
    wait_until(lambda: client.files(server_id) == files, "the copy is gone from the host")
    if pid is not None:
        assert client.pid(server_id) == pid, "the guest runs on"

    other = client.new(image["id"])
    client.wait_for_line(other, "copy me")
    if status == "ACTIVE":
        # A second one, of the same QEMU.
        again = image_of(client, server_id)
        without_task(client, server_id)
        assert client.act(server_id, "rebuild", {"imageRef": again["id"]}).status_code == 202
        client.wait(server_id, "ACTIVE")
        client.wait_for_line(server_id, "copy me")
        assert client.show(server_id)["image"]["id"] == again["id"]
