"""Servers on a running cloud: a whole life over HTTP; what is refused touches neither guest nor file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from conftest import wait_until
from shared_cloud import Cloud

from tests.guest.boot_sector import Then, write_image


class Client:
    """A member's requests; servers and images of this test are deleted when it ends."""

    def __init__(self, cloud: Cloud, directory: Path) -> None:
        self.cloud = cloud
        self.directory = directory
        self.http = httpx.Client(headers={"X-Auth-Token": cloud.token()}, timeout=60)
        self.servers: list[str] = []
        self.images: list[str] = []

    def call(self, method: str, path: str, body: Any = None, version: str = "2.57") -> httpx.Response:
        headers = {"OpenStack-API-Version": f"compute {version}"}
        return self.http.request(method, self.cloud.compute_url + path, json=body, headers=headers)

    def act(self, server_id: str, name: str, body: Any = None) -> httpx.Response:
        return self.call("POST", f"/servers/{server_id}/action", {name: body})

    def image(self, marker: str, then: Then, data: bytes | None = None) -> str:
        """A guest that says `marker`, or whatever `data` is, as a qcow2 image in Glance."""
        if data is None:
            file = write_image(self.directory / f"{uuid4()}.qcow2", marker, then, disk_format="qcow2")
            data = file.read_bytes()
        record = {"name": marker, "disk_format": "qcow2", "container_format": "bare"}
        made = self.http.post(f"{self.cloud.image_url}/v2/images", json=record).raise_for_status()
        image_id: str = made.json()["id"]
        self.images.append(image_id)
        headers = {"Content-Type": "application/octet-stream"}
        self.http.put(
            f"{self.cloud.image_url}/v2/images/{image_id}/file", content=data, headers=headers
        ).raise_for_status()
        return image_id

    def new(self, image_id: str) -> str:
        body = {"name": "web", "imageRef": image_id, "flavorRef": "1", "networks": "auto"}
        answer = self.call("POST", "/servers", {"server": body})
        assert answer.status_code == 202, answer.text
        server_id: str = answer.json()["server"]["id"]
        self.servers.append(server_id)
        self.wait(server_id, "ACTIVE")
        return server_id

    def show(self, server_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.call("GET", f"/servers/{server_id}").raise_for_status().json()["server"]
        return shown

    def wait(self, server_id: str, status: str) -> None:
        def reached() -> bool:
            shown = self.show(server_id)
            assert shown["status"] != "ERROR" or status == "ERROR", shown.get("fault")
            return shown["status"] == status and shown["OS-EXT-STS:task_state"] is None

        wait_until(reached, f"server {server_id} is {status}")

    def console(self, server_id: str) -> str:
        answer = self.act(server_id, "os-getConsoleOutput", {}).raise_for_status()
        output: str = answer.json()["output"]
        return output

    def wait_for_line(self, server_id: str, line: str) -> None:
        wait_until(lambda: line in self.console(server_id), f"the guest of {server_id} says {line!r}")

    def files(self, server_id: str) -> set[str]:
        directory = self.cloud.state.path / "compute" / "servers" / server_id
        return {file.name for file in directory.iterdir()} if directory.exists() else set()

    def pid(self, server_id: str) -> str:
        return (self.cloud.state.run_path / "servers" / server_id / "pid").read_text()

    def close(self) -> None:
        for server_id in self.servers:
            self.call("DELETE", f"/servers/{server_id}")
        for server_id in self.servers:
            wait_until(
                lambda server_id=server_id: self.call("GET", f"/servers/{server_id}").status_code == 404,
                f"server {server_id} is deleted",
            )
        for image_id in self.images:
            self.http.delete(f"{self.cloud.image_url}/v2/images/{image_id}")
        self.http.close()


@pytest.fixture
def client(cloud: Cloud, tmp_path: Path) -> Iterator[Client]:
    client = Client(cloud, tmp_path)
    yield client
    client.close()


def test_a_whole_life(client: Client) -> None:
    server_id = client.new(client.image("I am the first", Then.OBEY))
    client.wait_for_line(server_id, "I am the first")
    before = client.show(server_id)

    assert client.act(server_id, "os-stop").status_code == 202
    client.wait(server_id, "SHUTOFF")
    assert client.act(server_id, "os-start").status_code == 202
    client.wait(server_id, "ACTIVE")
    for kind in ("SOFT", "HARD"):
        assert client.act(server_id, "reboot", {"type": kind}).status_code == 202
        client.wait(server_id, "ACTIVE")

    second = client.image("I am the second", Then.OBEY)
    assert client.act(server_id, "rebuild", {"imageRef": second, "name": "other"}).status_code == 202
    assert client.show(server_id)["status"] == "REBUILD"
    client.wait(server_id, "ACTIVE")
    client.wait_for_line(server_id, "I am the second")
    after = client.show(server_id)
    assert (after["image"]["id"], after["name"]) == (second, "other")
    for kept in ("id", "addresses", "flavor", "hostId", "created"):
        assert after[kept] == before[kept]

    assert client.call("DELETE", f"/servers/{server_id}").status_code == 204
    wait_until(lambda: client.call("GET", f"/servers/{server_id}").status_code == 404, "it is deleted")
    wait_until(lambda: not client.files(server_id), "its files are gone")


@contextmanager
def untouched(client: Client, server_id: str) -> Iterator[None]:
    """Inside, nothing happens to the server: its row, its files, its QEMU and its guest stay as they are."""

    def seen() -> tuple[Any, ...]:
        actions = client.call("GET", f"/servers/{server_id}/os-instance-actions").json()
        return client.show(server_id), actions, client.files(server_id), client.pid(server_id)

    before, said = seen(), client.console(server_id)
    yield
    assert seen() == before
    wait_until(lambda: len(client.console(server_id)) > len(said), "the guest goes on counting")
    assert client.console(server_id).startswith(said)


def test_what_is_refused_touches_nothing(client: Client) -> None:
    image_id = client.image("I count", Then.COUNT)
    server_id = client.new(image_id)
    client.wait_for_line(server_id, "tick")
    nonesuch = str(uuid4())
    mistakes: list[tuple[str, Any, int]] = [
        ("rebuild", {"imageRef": nonesuch}, 400),
        ("rebuild", {"imageRef": image_id, "name": "n" * 255}, 400),
        ("rebuild", {"imageRef": image_id, "user_data": ""}, 400),
        ("rebuild", {"imageRef": image_id, "user_data": "no base64"}, 400),
        ("rebuild", {"imageRef": image_id, "key_name": "nonesuch"}, 400),
        ("rebuild", {"imageRef": image_id, "unknown": 1}, 400),
        ("rebuild", {"imageRef": image_id, "metadata": {"charging_mode": "1"}}, 403),
        ("reboot", {"type": "FIRM"}, 400),
        ("os-start", None, 409),
        ("melt", None, 400),
    ]
    with untouched(client, server_id):
        for name, body, code in mistakes:
            assert client.act(server_id, name, body).status_code == code, (name, body)
        client.http.headers["X-Auth-Token"] = client.cloud.token("renova-reader")
        assert client.act(server_id, "rebuild", {"imageRef": image_id}).status_code == 403
        assert client.act(server_id, "os-stop").status_code == 403
        assert client.call("DELETE", f"/servers/{server_id}").status_code == 403
        client.http.headers["X-Auth-Token"] = "stale"
        assert client.act(server_id, "rebuild", {"imageRef": image_id}).status_code == 401
        client.http.headers["X-Auth-Token"] = client.cloud.token()
