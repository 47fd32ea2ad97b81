"""What is answered about a server at every microversion, held to the schemas made from `server_answers.py`.

The real app answers over a real database. Three servers: one that has a value in every field, a bare one
without a network, and one that is locked and in ERROR.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from renova.api.microversions import MAXIMUM
from tests.contract.server_answers import ANSWERS, CREATED, EDGES, INDEX, NEWEST, RESERVED, VIEWERS, answer_of
from tests.fake_glance import CALLER
from tests.functional.api_without_agent import Api

MINORS = range(1, NEWEST + 1)
ACTIVE = frozenset(("networked", "progressing"))
BARE = frozenset(("progressing",))
FAULTY = frozenset(("networked", "faulty"))
NEW = {"name": "new", "flavorRef": "1", "adminPass": "seekr3t", "security_groups": [{"name": "default"}]}
FULL: dict[str, Any] = {
    "name": "full",
    "flavorRef": "1",
    "networks": "auto",
    "description": "a description",
    "key_name": "key",
    "user_data": "aGk=",
    "metadata": {"My Server Name": "Apache1"},
    "tags": ["tag1"],
    "trusted_image_certificates": ["0b5d2c72-12cc-4ba6-a8d7-3ff5cc1d8cb8"],
    "availability_zone": "nova",
    "hostname": "full.example.org",
    "accessIPv4": "1.2.3.4",
    "accessIPv6": "80fe::",
    "config_drive": True,
}
FAULT = {"code": 500, "created": "2026-11-23T18:00:00Z", "message": "It broke.", "details": "Where it broke."}
# What is null or empty even in the server that has everything.
NOTHING = {"OS-EXT-STS:task_state", "OS-SRV-USG:terminated_at", "os-extended-volumes:volumes_attached"} | {
    *("OS-EXT-SRV-ATTR:kernel_id", "OS-EXT-SRV-ATTR:ramdisk_id", "locked_reason")
}


def faults(name: str, found: Draft202012Validator, content: Any) -> Iterator[str]:
    for error in found.iter_errors(content):
        yield f"{name}: {error.json_path}: {error.message}"


def viewer_of(api: Api, viewer: str) -> dict[str, str]:
    """The header of the servers' owner with this role: one that the fake Glance knows."""
    return api.tokens.give(viewer, user_id=CALLER)


async def create(api: Api, minor: int, server: dict[str, Any], **more: Any) -> dict[str, Any]:
    server = {"imageRef": api.image, **server}
    if minor >= 37:
        server.setdefault("networks", "auto")
    answer = await api.call("POST", "/servers", {"server": server, **more}, version=f"2.{minor}")
    assert answer.status_code == 202, answer.text
    content: dict[str, Any] = answer.json()
    return content


async def new(api: Api, server: dict[str, Any], **more: Any) -> str:
    """The id of a server that has been built as the newest version has it."""
    server_id: str = (await create(api, NEWEST, server, **more))["server"]["id"]
    await api.finish(server_id)
    return server_id


async def full(api: Api, **changes: Any) -> str:
    """A server with a value in every field that a client or an admin can fill."""
    for image in (api.image, api.other_image):
        api.glance.records[image]["architecture"] = "x86_64"
    specs = {"extra_specs": {"hw:cpu_policy": "shared"}}
    await api.call("POST", "/flavors/1/os-extra_specs", specs, who=api.admin)
    group = {"server_group": {"name": "pair", "policy": "soft-affinity"}}
    made = await api.call("POST", "/os-server-groups", group, version="2.64")
    hints = {"group": made.json()["server_group"]["id"]}
    return await new(api, FULL | changes, **{"os:scheduler_hints": hints})


async def answers(
    api: Api, server_id: str, minor: int, who: dict[str, str], name: str, wanted: Collection[str]
) -> dict[str, Any]:
    """By the names of `server_answers.ANSWERS`, the `wanted` answers about one server at 2.`minor`."""
    version, path = f"2.{minor}", f"/servers/{server_id}"
    told = {
        "show": await api.get(path, version=version, who=who),
        "detail": await api.get(f"/servers/detail?name=^{name}$&limit=1", version=version, who=who),
    }
    changed = await api.call("PUT", path, {"server": {"name": name}}, version=version, who=who)
    assert changed.status_code == 200, changed.text
    told["update"] = changed.json()
    if "rebuild" in wanted:
        rebuild = {"imageRef": api.other_image, "adminPass": "seekr3t"}
        rebuilt = await api.act(server_id, "rebuild", rebuild, version=version, who=who)
        assert rebuilt.status_code == 202, rebuilt.text
        told["rebuild"] = rebuilt.json()
        await api.finish(server_id)
    return told


async def complaints(
    api: Api,
    server_id: str,
    viewer: str,
    states: frozenset[str],
    name: str,
    minors: Iterable[int],
    *,
    rebuilds_from: int = 1,
) -> list[str]:
    """Every difference between the schemas and what is answered at these versions."""
    found: list[str] = []
    who = viewer_of(api, viewer)
    for minor in minors:
        wanted = ANSWERS if minor >= rebuilds_from else set(ANSWERS) - {"rebuild"}
        told = await answers(api, server_id, minor, who, name, wanted)
        for answer, content in told.items():
            schema = Draft202012Validator(answer_of(answer, minor, viewer, states))
            found += faults(f"{answer} at 2.{minor} to {viewer}", schema, content)
    return found


def test_every_version_that_is_advertised_is_told_of() -> None:
    assert str(MAXIMUM) == f"2.{NEWEST}"


@pytest.mark.parametrize("viewer", VIEWERS)
async def test_a_server_with_a_value_in_every_field(api: Api, viewer: str) -> None:
    server_id = await full(api)
    # Until then an admin sees no more of a rebuild than its owner.
    rebuilds_from = 75 if viewer == "admin" else 1
    assert await complaints(api, server_id, viewer, ACTIVE, "full", MINORS, rebuilds_from=rebuilds_from) == []
    shown = (await api.get(f"/servers/{server_id}", version=f"2.{NEWEST}"))["server"]
    assert {name for name, value in shown.items() if value in (None, "", [], {})} <= NOTHING


async def test_a_server_of_which_nothing_was_said(api: Api) -> None:
    server_id = await new(api, {"name": "bare", "flavorRef": "1", "networks": "none"})
    assert await complaints(api, server_id, "member", BARE, "bare", EDGES) == []


@pytest.mark.parametrize("viewer", VIEWERS)
async def test_a_server_in_error_that_is_locked(api: Api, viewer: str) -> None:
    server_id = await full(api, name="faulty")
    await api.act(server_id, "lock", {"locked_reason": "I don't want to work"}, version="2.73")
    await api.set(server_id, vm_state="error", fault=json.dumps(FAULT))
    found = await complaints(api, server_id, viewer, FAULTY, "faulty", EDGES, rebuilds_from=NEWEST + 1)
    assert found == []
    shown = await api.get(f"/servers/{server_id}", version="2.73", who=viewer_of(api, viewer))
    assert shown["server"]["locked_reason"] == "I don't want to work"


async def test_new_servers_and_lists_of_them(api: Api) -> None:
    found: list[str] = []
    created, index = Draft202012Validator(CREATED), Draft202012Validator(INDEX)
    for minor in MINORS:
        found += faults(f"create at 2.{minor}", created, await create(api, minor, NEW))
    for minor in EDGES:
        listed = await api.get("/servers?limit=1", version=f"2.{minor}")
        found += faults(f"index at 2.{minor}", index, listed)
    assert found == []


async def test_several_new_servers(api: Api) -> None:
    several = NEW | {"return_reservation_id": True, "min_count": 2}
    reserved = Draft202012Validator(RESERVED)
    assert [
        fault
        for minor in EDGES
        for fault in faults(f"create at 2.{minor}", reserved, await create(api, minor, several))
    ] == []
