"""Servers on a running cloud: a whole life over HTTP; what is refused touches neither guest nor file."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from tests.functional.cloud_client import Client
from tests.guest.boot_sector import Then
from tests.waiting import wait_until


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
        ("rebuild", {"imageRef": image_id, "user_data": "not base64"}, 400),
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
