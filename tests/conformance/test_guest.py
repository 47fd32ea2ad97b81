"""The seed page, where it speaks of the system in the guest: a running cloud, real virtual machines."""

import subprocess

from tests.functional.cloud_client import Client
from tests.guest.boot_sector import Then

PASSWORD = "a-Passw0rd-that-nobody-keeps"
USER_DATA = "IyEvYmluL3NoCg=="


def test_you_can_use_the_original_image_or_another_image(client: Client) -> None:
    first, second = client.image("I am the first", Then.OBEY), client.image("I am the second", Then.OBEY)
    server_id = client.new(first)
    client.wait_for_line(server_id, "I am the first")
    for image, says in ((first, "I am the first"), (second, "I am the second"), (first, "I am the first")):
        assert client.act(server_id, "rebuild", {"imageRef": image}).status_code == 202
        client.wait(server_id, "ACTIVE")
        client.wait_for_line(server_id, says)
        assert client.console(server_id).count("I am") == 1, "the console begins with the new system"
        assert client.show(server_id)["image"]["id"] == image
        (action, *_) = client.call("GET", f"/servers/{server_id}/os-instance-actions").json()[
            "instanceActions"
        ]
        assert (action["action"], action["message"]) == ("rebuild", None)


def test_the_password_does_not_take_effect(client: Client) -> None:
    """Neither the guest's disk nor its config drive has it."""
    image = client.image("no password", Then.OBEY)
    server_id = client.new(image)
    body = {"imageRef": image, "adminPass": PASSWORD, "user_data": USER_DATA}
    assert client.act(server_id, "rebuild", body).json()["server"]["adminPass"] == PASSWORD
    client.wait(server_id, "ACTIVE")
    directory = client.cloud.state.path / "compute" / "servers" / server_id
    assert b"#!/bin/sh" in (directory / "config-2.iso").read_bytes(), "what takes effect is found there"
    for file in directory.iterdir():
        assert PASSWORD.encode() not in file.read_bytes()


def test_disk_config_and_preserve_ephemeral_change_nothing_about_the_disk(client: Client) -> None:
    image = client.image("the same disk", Then.OBEY)
    server_id = client.new(image)
    sizes = set()
    for disk_config, preserve in (("AUTO", True), ("MANUAL", False)):
        body = {"imageRef": image, "OS-DCF:diskConfig": disk_config, "preserve_ephemeral": preserve}
        assert client.act(server_id, "rebuild", body).status_code == 202
        client.wait(server_id, "ACTIVE")
        sizes.add(disk_size(client, server_id))
    assert len(sizes) == 1


def test_an_ecs_in_the_error_state_cannot_be_rebuilt(client: Client) -> None:
    """A server whose build has failed is in ERROR, and stays as it is."""
    broken = client.image("broken", Then.OBEY)
    (stored,) = (client.cloud.state.path / "glance").rglob(broken)
    stored.write_bytes(stored.read_bytes()[:-1] + b"?")
    server_id = client.new(broken, status="ERROR")
    answer = client.act(server_id, "rebuild", {"imageRef": client.image("whole", Then.OBEY)})
    assert answer.status_code == 409
    assert client.show(server_id)["status"] == "ERROR"


def disk_size(client: Client, server_id: str) -> str:
    directory = client.cloud.state.path / "compute" / "servers" / server_id
    newest = max(directory.glob("root-*.qcow2"), key=lambda file: int(file.stem.partition("-")[2]))
    told = subprocess.check_output(["qemu-img", "info", "--force-share", "--output=json", newest], text=True)
    return next(line.strip() for line in told.splitlines() if '"virtual-size"' in line)
