"""Rebuilds on a running cloud: real Glance, real QEMU, guests of one sector."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import sample_images
from tests.functional.cloud_client import Client
from tests.guest.boot_sector import Then
from tests.waiting import wait_until


def rebuild(client: Client, server_id: str, image_id: str, **more: Any) -> None:
    answer = client.act(server_id, "rebuild", {"imageRef": image_id, **more})
    assert answer.status_code == 202, answer.text
    server = answer.json()["server"]
    assert (server["status"], server["progress"]) == ("REBUILD", 0)
    shown = client.show(server_id)
    assert shown["status"] != "REBUILD" or shown["progress"] >= 1


def last_action(client: Client, server_id: str) -> dict[str, Any]:
    """The newest action with its events, once it has ended."""
    path = f"/servers/{server_id}/os-instance-actions"
    newest = client.call("GET", path).json()["instanceActions"][0]["request_id"]

    def action() -> dict[str, Any]:
        answer: dict[str, Any] = client.call("GET", f"{path}/{newest}").json()["instanceAction"]
        return answer

    wait_until(lambda: all(event["finish_time"] for event in action()["events"]), "the action has ended")
    return action()


def test_what_a_rebuild_keeps_and_what_it_replaces(client: Client) -> None:
    server_id = client.new(client.image("I am the old one", Then.OBEY))
    client.wait_for_line(server_id, "I am the old one")
    old, old_pid = client.show(server_id), client.pid(server_id)
    new_image = client.image("I am the new one", Then.OBEY)
    rebuild(client, server_id, new_image, name="new-name", metadata={"role": "db"}, description="second")
    client.wait(server_id, "ACTIVE")
    client.wait_for_line(server_id, "I am the new one")
    assert "old one" not in client.console(server_id), "the console is that of the new system alone"
    new = client.show(server_id)
    for kept in ("id", "addresses", "flavor", "hostId", "created", "key_name", "tenant_id", "user_id"):
        assert new[kept] == old[kept]
    assert new["image"]["id"] == new_image
    assert (new["name"], new["metadata"], new["description"]) == ("new-name", {"role": "db"}, "second")
    assert client.pid(server_id) == old_pid, "the disks are exchanged under the same QEMU"
    action = last_action(client, server_id)
    assert (action["action"], action["message"]) == ("rebuild", None)
    assert {event["result"] for event in action["events"]} == {"Success"}
    assert client.files(server_id) == {"root-1.qcow2", "config-1.iso", "root-2.qcow2", "config-2.iso"}
    rebuild(client, server_id, new_image)
    client.wait(server_id, "ACTIVE")
    wait_until(
        lambda: client.files(server_id) == {"root-2.qcow2", "config-2.iso", "root-3.qcow2", "config-3.iso"},
        "one previous generation is kept and no older one",
    )
    assert client.show(server_id)["name"] == "new-name", "a value that is not sent is kept"


def test_an_undo_boots_the_system_before_and_its_undo_the_one_after(client: Client) -> None:
    old_image, new_image = client.image("the first", Then.OBEY), client.image("the second", Then.OBEY)
    server_id = client.new(old_image)
    client.wait_for_line(server_id, "the first")
    addresses = client.show(server_id)["addresses"]
    refused = client.act(server_id, "undoRebuild")
    assert refused.status_code == 409, refused.text
    rebuild(client, server_id, new_image, name="second", metadata={"role": "db"})
    client.wait(server_id, "ACTIVE")
    for name, image, metadata, line in (
        ("web", old_image, {}, "the first"),
        ("second", new_image, {"role": "db"}, "the second"),
    ):
        answer = client.act(server_id, "undoRebuild")
        assert answer.status_code == 202, answer.text
        assert client.show(server_id)["status"] == "REBUILD"
        client.wait(server_id, "ACTIVE")
        client.wait_for_line(server_id, line)
        shown = client.show(server_id)
        assert (shown["name"], shown["image"]["id"], shown["metadata"]) == (name, image, metadata)
        assert shown["addresses"] == addresses
    action = last_action(client, server_id)
    assert (action["action"], action["message"]) == ("undoRebuild", None)


def test_an_image_may_ask_for_a_new_qemu(client: Client) -> None:
    server_id = client.new(client.image("in the old memory", Then.OBEY))
    client.wait_for_line(server_id, "in the old memory")
    old_pid = client.pid(server_id)
    image_id = client.image("in empty memory", Then.OBEY, renova_rebuild_method="respawn")
    rebuild(client, server_id, image_id)
    client.wait(server_id, "ACTIVE")
    client.wait_for_line(server_id, "in empty memory")
    assert client.pid(server_id) != old_pid


def test_a_stopped_server_stays_stopped_and_starts_on_the_new_system(client: Client) -> None:
    server_id = client.new(client.image("old and asleep", Then.OBEY))
    assert client.act(server_id, "os-stop").status_code == 202
    client.wait(server_id, "SHUTOFF")
    rebuild(client, server_id, client.image("new and awake", Then.OBEY))
    client.wait(server_id, "SHUTOFF")
    assert client.act(server_id, "os-start").status_code == 202
    client.wait(server_id, "ACTIVE")
    client.wait_for_line(server_id, "new and awake")


BAD: dict[str, Callable[[Client], str]] = {
    "powers itself off": lambda client: client.image("new and ill", Then.POWER_OFF),
    "panics": lambda client: client.image("new and ill", Then.PANIC),
    "resets": lambda client: client.image("new and ill", Then.RESET),
    # Nothing to boot from: the firmware tries again and again.
    "is empty": lambda client: client.image("nothing", Then.HALT, sample_images.qcow2()),
    "is empty, and an agent was promised": lambda client: client.image(
        "nothing", Then.HALT, sample_images.qcow2(), hw_qemu_guest_agent="yes"
    ),
    "boots and stays mute": lambda client: client.image(
        "new and mute", Then.COUNT, hw_qemu_guest_agent="yes"
    ),
}
WHY = {
    "powers itself off": "did not stay up: guest powered off",
    "panics": "did not stay up: guest panicked",
    "boots and stays mute": "guest agent did not answer within 30 seconds",
}


@pytest.mark.parametrize("flaw", BAD)
def test_a_new_system_that_does_not_live_gives_way_to_the_old_one(client: Client, flaw: str) -> None:
    old_image = client.image("old and well", Then.COUNT)
    server_id = client.new(old_image)
    client.wait_for_line(server_id, "old and well")
    rebuild(client, server_id, BAD[flaw](client), name="other", metadata={"role": "db"})
    client.wait(server_id, "ACTIVE")
    client.wait_for_line(server_id, "old and well")
    shown = client.show(server_id)
    assert (shown["image"]["id"], shown["name"], shown["metadata"]) == (old_image, "web", {})
    assert "verify_guest" in shown["fault"]["message"]
    action = last_action(client, server_id)
    assert action["message"].startswith("Error: verify_guest: the new system")
    assert WHY.get(flaw, "was still resetting itself after 4 seconds") in action["message"]
    results = {event["event"]: event["result"] for event in action["events"]}
    assert (results["verify_guest"], results["undo_stop_guest"]) == ("Error", "Success")
    wait_until(
        lambda: client.files(server_id) == {"root-1.qcow2", "config-1.iso"}, "nothing is left of the attempt"
    )
    assert client.act(server_id, "reboot", {"type": "HARD"}).status_code == 202
    client.wait(server_id, "ACTIVE")
    assert "fault" not in client.show(server_id), "a fault tells of the last action until the next begins"


def test_an_image_that_is_not_what_glance_promised_never_stops_the_old_system(client: Client) -> None:
    old_image = client.image("still here", Then.COUNT)
    server_id = client.new(old_image)
    client.wait_for_line(server_id, "tick")
    pid, said = client.pid(server_id), client.console(server_id)
    image_id = client.image("tampered", Then.OBEY)
    (stored,) = (client.cloud.state.path / "glance").rglob(image_id)
    content = bytearray(stored.read_bytes())
    content[-1] ^= 1
    stored.write_bytes(content)
    rebuild(client, server_id, image_id, name="other")
    client.wait(server_id, "ACTIVE")
    shown = client.show(server_id)
    assert (shown["image"]["id"], shown["name"]) == (old_image, "web")
    assert "fetch_image" in shown["fault"]["message"]
    assert client.pid(server_id) == pid
    assert client.console(server_id).startswith(said), "the old system never stopped"


def test_a_guest_that_crashes_is_shown_with_the_reason(client: Client) -> None:
    server_id = client.new(client.image("short of luck", Then.COUNT))
    client.wait_for_line(server_id, "short of luck")
    os.kill(int(client.pid(server_id)), signal.SIGKILL)
    client.wait(server_id, "SHUTOFF")
    shown = client.show(server_id)
    assert "signal 9" in shown["fault"]["message"]
    assert shown["OS-EXT-STS:power_state"] == 6
    assert client.act(server_id, "os-start").status_code == 202
    client.wait(server_id, "ACTIVE")
    assert "fault" not in client.show(server_id)


def test_a_guest_that_powers_itself_off_is_shut_off_and_no_fault(client: Client) -> None:
    server_id = client.new(client.image("good night", Then.POWER_OFF), status="SHUTOFF")
    assert "fault" not in client.show(server_id)
    assert not Path(client.cloud.state.run_path, "servers", server_id, "pid").exists()


def test_a_server_can_be_deleted_in_the_middle_of_its_rebuild(client: Client) -> None:
    server_id = client.new(client.image("first and last", Then.HALT))
    client.wait_for_line(server_id, "first and last")
    rebuild(client, server_id, client.image("never to be", Then.OBEY))
    assert client.call("DELETE", f"/servers/{server_id}").status_code == 204
    wait_until(lambda: client.call("GET", f"/servers/{server_id}").status_code == 404, "it is deleted")
    wait_until(lambda: not client.files(server_id), "its files are gone")
