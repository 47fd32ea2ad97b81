"""A member's view of a running cloud, over HTTP, for tests that make servers on it."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from tests.functional.shared_cloud import Cloud
from tests.guest.boot_sector import Then, write_image
from tests.waiting import wait_until

# Of an image: whole, or piece by piece.
Content = bytes | Iterable[bytes]


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

    def image(self, marker: str, then: Then, data: Content | None = None, **properties: str) -> str:
        """A guest that says `marker`, or whatever `data` is, as a qcow2 image in Glance."""
        if data is None:
            file = write_image(self.directory / f"{uuid4()}.qcow2", marker, then, disk_format="qcow2")
            data = file.read_bytes()
        record = {"name": marker, "disk_format": "qcow2", "container_format": "bare", **properties}
        made = self.http.post(f"{self.cloud.image_url}/v2/images", json=record).raise_for_status()
        image_id: str = made.json()["id"]
        self.images.append(image_id)
        headers = {"Content-Type": "application/octet-stream"}
        self.http.put(
            f"{self.cloud.image_url}/v2/images/{image_id}/file", content=data, headers=headers
        ).raise_for_status()
        return image_id

    def new(self, image_id: str, *, status: str = "ACTIVE", flavor: str = "1") -> str:
        """A new server, once it has this status."""
        body = {"name": "web", "imageRef": image_id, "flavorRef": flavor, "networks": "auto"}
        answer = self.call("POST", "/servers", {"server": body})
        assert answer.status_code == 202, answer.text
        server_id: str = answer.json()["server"]["id"]
        self.servers.append(server_id)
        self.wait(server_id, status)
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

    def is_gone(self, server_id: str) -> bool:
        return self.call("GET", f"/servers/{server_id}").status_code == 404

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
            wait_until(partial(self.is_gone, server_id), f"server {server_id} is deleted")
        for image_id in self.images:
            self.http.delete(f"{self.cloud.image_url}/v2/images/{image_id}")
        self.http.close()
