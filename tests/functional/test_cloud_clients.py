"""The cloud through the client that its users have, as every user of clouds.yaml."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from renova.api.microversions import MAXIMUM
from tests.functional.cloud_client import Client
from tests.functional.shared_cloud import Cloud
from tests.guest.boot_sector import Then


def openstack(cloud: Cloud, name: str, *arguments: str) -> str:
    environment = {**os.environ, "OS_CLIENT_CONFIG_FILE": str(cloud.clouds_yaml), "OS_CLOUD": name}
    program = Path(sys.executable).with_name("openstack")
    done = subprocess.run(
        [program, *arguments], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["renova", "renova-admin", "renova-reader"])
def test_every_user_of_clouds_yaml_sees_the_flavors(cloud: Cloud, name: str) -> None:
    flavors = openstack(cloud, name, "flavor", "list", "-f", "value", "-c", "Name")
    assert flavors.split() == ["m1.nano", "m1.tiny", "m1.small", "m1.medium"]


def test_a_member_uploads_an_image_and_a_reader_sees_it(cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(bytes(1024))
    made = openstack(
        cloud,
        "renova",
        *("image", "create", "--disk-format", "raw", "--container-format", "bare"),
        *("--file", str(tmp_path / "image"), "-f", "value", "-c", "id", "uploaded"),
    )
    seen = openstack(cloud, "renova-reader", "image", "show", made, "-f", "value", "-c", "status")
    openstack(cloud, "renova", "image", "delete", made)
    assert seen == "active"


# What the client understands of a version decides what it asks for and how it reads the answer.
VERSIONS = ("2.1", "2.57", "2.75", str(MAXIMUM))


def test_servers_at_many_microversions(cloud: Cloud, client: Client) -> None:
    image = client.image("HELLO", Then.OBEY)

    def server(version: str, *arguments: str) -> str:
        return openstack(cloud, "renova", "--os-compute-api-version", version, "server", *arguments)

    json_of = ("-f", "json")
    made = server(
        *("2.90", "create", "--image", image, "--flavor", "1", "--nic", "auto", "--hostname", "first"),
        *("--wait", *json_of, "cli"),
    )
    server_id = json.loads(made)["id"]
    client.servers.append(server_id)
    for version in VERSIONS:
        shown = json.loads(server(version, "show", *json_of, server_id))
        assert (shown["name"], shown["status"]) == ("cli", "ACTIVE")
        (listed,) = json.loads(server(version, "list", "--long", *json_of, "--name", "^cli$"))
        assert listed["ID"] == server_id
    server("2.90", "rebuild", "--image", image, "--hostname", "second", "--wait", server_id)
    # A boot sector has no SSH server.
    assert json.loads(server("2.90", "ssh", "host", "key", "list", *json_of, server_id)) == []
    rebuilt = client.call("GET", f"/servers/{server_id}", version="2.90").json()["server"]
    assert (rebuilt["status"], rebuilt["OS-EXT-SRV-ATTR:hostname"]) == ("ACTIVE", "second")


def test_the_client_plans_and_undoes_a_rebuild(cloud: Cloud, client: Client) -> None:
    first, second = client.image("the first", Then.OBEY), client.image("the second", Then.OBEY)
    server_id = client.new(first)

    def server(*arguments: str) -> str:
        return openstack(cloud, "renova", "server", *arguments)

    plan = json.loads(
        server("plan", "rebuild", "--image", second, "--name", "other", "-f", "json", server_id)
    )
    assert plan["possible"] is True
    assert f"what=image, from={first}, to={second}" in plan["replaced"]
    assert "what=name, from=web, to=other" in plan["replaced"]
    assert client.show(server_id)["image"]["id"] == first
    server("rebuild", "--image", second, "--name", "other", "--wait", server_id)
    assert server("undo", "rebuild", "--wait", server_id).endswith("Complete")
    shown = client.show(server_id)
    assert (shown["status"], shown["name"], shown["image"]["id"]) == ("ACTIVE", "web", first)
