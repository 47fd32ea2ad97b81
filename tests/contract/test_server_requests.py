"""A field sent one version too early, or too late, is refused in Nova's words, and nothing has happened.

Sources: the API reference, "Create server", "Update server" and "Rebuild server", for the versions; for the
words Nova's validator, which passes on those of the library jsonschema (nova/api/validation/validators.py).
That each field is taken at all its other versions: tests/unit/test_server_schemas.py.
"""

from collections.abc import Awaitable
from typing import Any

import httpx
import pytest

from renova.compute.networks import default_network
from tests.fake_glance import CALLER
from tests.functional.api_without_agent import HOST, Api

FILE = {"path": "/etc/motd", "contents": "aGk="}
LABEL = "'^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$'"
# (a minor that refuses the field, the one beside it that takes it, field, value)
CREATE: list[tuple[int, int, str, Any]] = [
    (18, 19, "description", "a description"),
    (51, 52, "tags", ["blue"]),
    (57, 56, "personality", [FILE]),
    (62, 63, "trusted_image_certificates", ["cert"]),
    (73, 74, "host", HOST),
    (73, 74, "hypervisor_hostname", HOST),
    (89, 90, "hostname", "web"),
]
REBUILD: list[tuple[int, int, str, Any]] = [
    (18, 19, "description", None),
    (53, 54, "key_name", None),
    (56, 57, "user_data", "aGk="),
    (57, 56, "personality", [FILE]),
    (62, 63, "trusted_image_certificates", None),
    (89, 90, "hostname", "web"),
]
UPDATE: list[tuple[int, int, str, Any]] = [
    (18, 19, "description", None),
    (89, 90, "hostname", "web"),
    (103, 104, "pinned_availability_zone", None),
]


def unexpected(name: str) -> str:
    return f"Additional properties are not allowed ('{name}' was unexpected)"


class Caller:
    """Sends requests of an admin, who may name a host, about one server."""

    def __init__(self, api: Api, server_id: str) -> None:
        self.api = api
        self.server_id = server_id
        self.who = api.tokens.give("admin", user_id=CALLER)  # Whom the fake Glance knows.

    async def create(self, minor: int, **fields: Any) -> httpx.Response:
        return await self._send("POST", "/servers", "server", minor, self.new(minor, **fields))

    async def rebuild(self, minor: int, **fields: Any) -> httpx.Response:
        return await self._send(
            "POST", f"/servers/{self.server_id}/action", "rebuild", minor, self.image(**fields)
        )

    async def update(self, minor: int, **fields: Any) -> httpx.Response:
        return await self._send("PUT", f"/servers/{self.server_id}", "server", minor, fields)

    def new(self, minor: int, **fields: Any) -> dict[str, Any]:
        networks = {"networks": "auto"} if minor >= 37 else {}
        return {"name": "web", "flavorRef": "1", **self.image(), **networks, **fields}

    def image(self, **fields: Any) -> dict[str, Any]:
        return {"imageRef": self.api.image, **fields}

    async def _send(
        self, method: str, path: str, key: str, minor: int, fields: dict[str, Any]
    ) -> httpx.Response:
        return await self.api.call(method, path, {key: fields}, version=f"2.{minor}", who=self.who)


@pytest.fixture
async def caller(api: Api) -> Caller:
    return Caller(api, await api.new())


async def refused(
    sent: Awaitable[httpx.Response], place: str | int, value: Any, why: str, caller: Caller
) -> None:
    before = await caller.api.rows()
    answer = await sent
    assert answer.status_code == 400, answer.text
    message = f"Invalid input for field/attribute {place}. Value: {value}. {why}"
    assert answer.json() == {"badRequest": {"code": 400, "message": message}}
    assert await caller.api.rows() == before


async def taken(sent: Awaitable[httpx.Response], status: int = 202) -> None:
    answer = await sent
    assert answer.status_code == status, answer.text


async def test_fields_of_a_create(caller: Caller) -> None:
    for refusing, taking, name, value in CREATE:
        field, whole = {name: value}, caller.new(refusing, **{name: value})
        await refused(caller.create(refusing, **field), "server", whole, unexpected(name), caller)
        await taken(caller.create(taking, **field))


async def test_fields_of_a_rebuild(caller: Caller) -> None:
    for refusing, taking, name, value in REBUILD:
        field = {name: value}
        await refused(
            caller.rebuild(refusing, **field), "rebuild", caller.image(**field), unexpected(name), caller
        )
        await taken(caller.rebuild(taking, **field))
        await caller.api.finish(caller.server_id)


async def test_fields_of_an_update(caller: Caller) -> None:
    for refusing, taking, name, value in UPDATE:
        field = {name: value}
        await refused(caller.update(refusing, **field), "server", field, unexpected(name), caller)
        await taken(caller.update(taking, **field), 200)


async def test_the_tag_of_a_network_card(caller: Caller) -> None:
    """It came with 2.32, was lost with 2.37, where cards got two forms, and came back with 2.42."""
    card = {"uuid": (await network_of(caller.api)), "tag": "nic1"}
    await refused(caller.create(31, networks=[card]), 0, card, unexpected("tag"), caller)
    neither = f"{[card]} is not valid under any of the given schemas"
    for minor in (37, 41):
        await refused(caller.create(minor, networks=[card]), "networks", [card], neither, caller)
    for minor in (32, 36, 42):
        await taken(caller.create(minor, networks=[card]))


async def test_networks(caller: Caller) -> None:
    for word in ("auto", "none"):
        why = f"'{word}' is not of type 'array'"
        await refused(caller.create(36, networks=word), "networks", word, why, caller)
        await taken(caller.create(37, networks=word))
    body = caller.new(36)
    answer = await caller.api.call("POST", "/servers", {"server": body}, version="2.37")
    message = f"Invalid input for field/attribute server. Value: {body}. 'networks' is a required property"
    assert answer.json()["badRequest"]["message"] == message


async def test_the_members_of_a_block_device(caller: Caller) -> None:
    """`tag` was in 2.32 alone, and again from 2.42 on."""
    disk = {"uuid": caller.api.image, "source_type": "image", "destination_type": "local", "boot_index": 0}
    for field, refusing, taking in (
        ({"tag": "disk1"}, (31, 33, 41), (32, 42)),
        ({"volume_type": "fast"}, (66,), (67,)),
    ):
        device = disk | field
        for minor in refusing:
            sent = caller.create(minor, block_device_mapping_v2=[device])
            await refused(sent, 0, device, unexpected(*field), caller)
        for minor in taking:
            await taken(caller.create(minor, block_device_mapping_v2=[device]))


async def test_a_domain_name_is_no_host_name_yet(caller: Caller) -> None:
    name = "web.example.org"
    why = f"{name!r} does not match {LABEL}"
    for sent in (
        caller.create(93, hostname=name),
        caller.rebuild(93, hostname=name),
        caller.update(93, hostname=name),
    ):
        await refused(sent, "hostname", name, why, caller)
    await taken(caller.create(94, hostname=name))
    await taken(caller.update(94, hostname=name), 200)
    await taken(caller.rebuild(94, hostname=name))


async def network_of(api: Api) -> str:
    """The id of the one network there is."""
    async with api.sessions.begin() as session:
        return (await default_network(session)).id
