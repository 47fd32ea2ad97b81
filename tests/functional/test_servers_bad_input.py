"""What is refused, as Nova refuses it, and that nothing has changed then: no row of any table, no job."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.api_without_agent import Api, api_without_agent
from tests.sample_images import MIB, qcow2, raw

OPTIONS = "[quota]\ninstances = 2\nmetadata_items = 3\n"
NONE = "00000000-0000-0000-0000-000000000000"
ENVELOPES = {400: "badRequest", 403: "forbidden", 404: "itemNotFound", 409: "conflictingRequest"}


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with api_without_agent(database, tmp_path, OPTIONS) as api:
        yield api


async def refused(
    api: Api, code: int, message: str, method: str, path: str, body: Any = None, **how: Any
) -> None:
    """The request is answered so, in Nova's envelope (`message` is contained), and has changed nothing."""
    before = await api.rows()
    answer = await api.call(method, path, body, **how)
    assert answer.status_code == code, answer.text
    told = answer.json()[ENVELOPES[code]]
    assert told["code"] == code
    assert message in told["message"]
    assert await api.rows() == before


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"unknown": 1}, 400, "Additional properties are not allowed ('unknown' was unexpected)"),
        ({"name": 7}, 400, "Invalid input for field/attribute name. Value: 7. 7 is not of type 'string'"),
        ({"name": "n" * 256}, 400, "is too long"),
        ({"name": ""}, 400, "'' is too short"),
        ({"imageRef": "nonesuch"}, 400, "Invalid input for field/attribute imageRef. Value: nonesuch."),
        ({"imageRef": NONE}, 400, "Can not find requested image"),
        ({"imageRef": ""}, 400, "Missing imageRef attribute"),
        ({"flavorRef": "nonesuch"}, 400, "Flavor nonesuch could not be found."),
        ({"flavorRef": "http://["}, 400, "Flavor http://[ could not be found."),
        ({"accessIPv6": "fe80::1%eth0"}, 400, "'fe80::1%eth0' is not a 'ipv6'"),
        ({"key_name": "nonesuch"}, 400, "Invalid key_name provided."),
        ({"user_data": "not base64"}, 400, "'not base64' is not a 'base64'"),
        ({"user_data": "a" * 65536}, 400, "is too long"),
        ({"networks": [{"uuid": NONE}]}, 400, f"Network {NONE} could not be found."),
        ({"networks": [{"uuid": "x"}]}, 400, "Network x could not be found."),
        ({"networks": [{"port": NONE}]}, 400, f"Port id {NONE} could not be found."),
        ({"networks": [{}]}, 400, "Bad network format: missing 'uuid'"),
        ({"security_groups": [{"name": "web"}]}, 400, "Security group web not found for project"),
        ({"availability_zone": "mars"}, 400, "The requested availability zone is not available"),
        ({"availability_zone": "nova:host-1"}, 403, "create:forced_host"),
        ({"min_count": 2, "max_count": 1}, 400, "min_count must be <= max_count"),
        (
            {"min_count": 3},
            403,
            "Quota exceeded for instances: Requested 3, but already used 0 of 2 instances",
        ),
        ({"metadata": dict.fromkeys("abcd", "1")}, 403, "Maximum number of metadata items exceeds 3"),
        ({"metadata": {"charging_mode": "1"}}, 403, "charging_mode"),
        ({"personality": [{"path": "/a", "contents": "aGk="}] * 6}, 403, "Personality file limit exceeded"),
        ({"block_device_mapping": [{"volume_id": NONE}]}, 400, "Block Device Mapping is Invalid"),
        (
            {"block_device_mapping_v2": [{"uuid": NONE, "source_type": "volume", "boot_index": 0}]},
            400,
            "Block Device Mapping is Invalid",
        ),
    ],
)
async def test_create(api: Api, fields: dict[str, Any], code: int, message: str) -> None:
    server = {"name": "web", "imageRef": api.image, "flavorRef": "1", **fields}
    await refused(api, code, message, "POST", "/servers", {"server": server})


REBUILDS: list[tuple[dict[str, Any], int, str]] = [
    ({"unknown": 1}, 400, "Additional properties are not allowed ('unknown' was unexpected)"),
    ({"name": "n" * 255}, 400, "is too long"),
    ({"name": None}, 400, "None is not of type 'string'"),
    ({"imageRef": NONE}, 400, "Cannot find image for rebuild"),
    ({"imageRef": "nonesuch"}, 400, "'nonesuch' is not a 'uuid'"),
    ({"imageRef": "http://["}, 400, "'http://[' is not a 'uuid'"),
    ({"key_name": "nonesuch"}, 400, "Invalid key_name provided."),
    ({"user_data": ""}, 400, "'' is too short"),
    ({"user_data": "not base64"}, 400, "'not base64' is not a 'base64'"),
    ({"user_data": "a" * 65536}, 400, "is too long"),
    ({"metadata": {"key": 1}}, 400, "1 is not of type 'string'"),
    ({"metadata": dict.fromkeys("abcd", "1")}, 403, "Maximum number of metadata items exceeds 3"),
    ({"metadata": {"charging_mode": "1"}}, 403, "charging_mode"),
    ({"preserve_ephemeral": 1}, 400, "Invalid input for field/attribute preserve_ephemeral. Value: 1."),
    ({"OS-DCF:diskConfig": "auto"}, 400, "'auto' is not one of ['AUTO', 'MANUAL']"),
]


@pytest.mark.parametrize(("fields", "code", "message"), REBUILDS)
async def test_rebuild(api: Api, fields: dict[str, Any], code: int, message: str) -> None:
    server_id = await api.new()
    body = {"rebuild": {"imageRef": api.image, **fields}}
    await refused(api, code, message, "POST", f"/servers/{server_id}/action", body, version="2.57")


async def test_fields_of_a_later_microversion(api: Api) -> None:
    server_id = await api.new()
    path = f"/servers/{server_id}/action"
    for version, field in (("2.18", "description"), ("2.53", "key_name"), ("2.56", "user_data")):
        body = {"rebuild": {"imageRef": api.image, field: None}}
        message = f"Additional properties are not allowed ('{field}' was unexpected)"
        await refused(api, 400, message, "POST", path, body, version=version)


HOSTILE = {
    "a backing file": (qcow2(backing=b"/etc/passwd"), "backing_file"),
    "a data file": (qcow2(incompatible=4), "data_file"),
    "a raw disk that says it is qcow2": (raw(), "Image content does not match disk_format"),
    "a disk larger than the flavor's": (
        qcow2(virtual_size=2048 * MIB),
        "Flavor's disk is too small for requested image.",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_hostile_and_unfitting_images(api: Api, kind: str) -> None:
    server_id = await api.new()
    data, message = HOSTILE[kind]
    api.glance.add(NONE, data)
    server = {"name": "web", "imageRef": NONE, "flavorRef": "1"}
    await refused(api, 400, message, "POST", "/servers", {"server": server})
    rebuild = {"rebuild": {"imageRef": NONE}}
    await refused(api, 400, message, "POST", f"/servers/{server_id}/action", rebuild)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"status": "queued"}, f"Image {NONE} is not active."),
        ({"min_ram": 4096}, "Flavor's memory is too small for requested image."),
        ({"min_disk": 99}, "Flavor's disk is smaller than the minimum size specified in image metadata."),
        ({"hw_disk_bus": "ide"}, "hw_disk_bus=ide is not supported"),
        ({"architecture": "aarch64"}, "does not run on a host of architecture x86_64"),
    ],
)
async def test_what_an_image_asks_for(api: Api, record: dict[str, Any], message: str) -> None:
    server_id = await api.new()
    api.glance.add(NONE, qcow2(), **record)
    body = {"rebuild": {"imageRef": NONE}}
    await refused(api, 400, message, "POST", f"/servers/{server_id}/action", body)


async def test_an_image_that_only_others_see(api: Api) -> None:
    api.glance.add(NONE, qcow2())
    api.glance.hidden.add(NONE)
    server_id = await api.new()
    body = {"rebuild": {"imageRef": NONE}}
    await refused(api, 400, "Cannot find image for rebuild", "POST", f"/servers/{server_id}/action", body)


# Everything that can be asked of one server: method, rest of the path, body, microversion.
CALLS: list[tuple[str, str, Any, str]] = [
    ("GET", "", None, "2.1"),
    ("PUT", "", {"server": {"name": "other"}}, "2.1"),
    ("DELETE", "", None, "2.1"),
    ("GET", "/ips", None, "2.1"),
    ("GET", "/metadata", None, "2.1"),
    ("POST", "/metadata", {"metadata": {"a": "1"}}, "2.1"),
    ("PUT", "/metadata", {"metadata": {"a": "1"}}, "2.1"),
    ("PUT", "/metadata/a", {"meta": {"a": "1"}}, "2.1"),
    ("DELETE", "/metadata/a", None, "2.1"),
    ("GET", "/os-instance-actions", None, "2.21"),
    ("GET", "/os-instance-actions/req-1", None, "2.21"),
    ("GET", "/tags", None, "2.26"),
    ("PUT", "/tags", {"tags": ["a"]}, "2.26"),
    ("PUT", "/tags/a", None, "2.26"),
    ("DELETE", "/tags", None, "2.26"),
    ("DELETE", "/tags/a", None, "2.26"),
    ("POST", "/action", {"os-start": None}, "2.1"),
    ("POST", "/action", {"os-stop": None}, "2.1"),
    ("POST", "/action", {"reboot": {"type": "SOFT"}}, "2.1"),
    ("POST", "/action", {"rebuild": {"imageRef": NONE}}, "2.1"),
    ("POST", "/action", {"os-getConsoleOutput": {}}, "2.1"),
]


async def test_servers_of_others_and_of_nobody_do_not_exist(api: Api) -> None:
    server_id = await api.new()
    for method, rest, body, version in CALLS:
        for who, target in ((api.stranger, server_id), (api.member, NONE), (api.member, "no-uuid")):
            message = f"Instance {target} could not be found."
            path = f"/servers/{target}{rest}"
            await refused(api, 404, message, method, path, body, version=version, who=who, prefix="/v2.1")


async def test_a_reader_looks_and_does_not_act(api: Api) -> None:
    server_id = await api.new()
    for method, rest, body, version in CALLS:
        if method != "GET":
            path = f"/servers/{server_id}{rest}"
            await refused(
                api, 403, "Policy doesn't allow", method, path, body, version=version, who=api.reader
            )
    server = {"name": "web", "imageRef": api.image, "flavorRef": "1"}
    await refused(api, 403, "servers:create", "POST", "/servers", {"server": server}, who=api.reader)
    assert (await api.call("GET", f"/servers/{server_id}", who=api.reader)).status_code == 200


async def test_without_a_token_or_with_a_stale_one(api: Api) -> None:
    server_id = await api.new()
    before = await api.rows()
    for headers in ({}, {"X-Auth-Token": "stale"}):
        for method, rest, body, version in CALLS:
            answer = await api.call(method, f"/servers/{server_id}{rest}", body, version=version, who=headers)
            assert answer.status_code == 401
    assert await api.rows() == before


async def test_a_busy_server(api: Api) -> None:
    server_id = await api.new()
    assert (await api.act(server_id, "rebuild", {"imageRef": api.other_image})).status_code == 202
    path = f"/servers/{server_id}/action"
    for name, body, nova_name in (
        ("rebuild", {"imageRef": api.image}, "rebuild"),
        ("rebuild", {"imageRef": NONE}, "rebuild"),
        ("reboot", {"type": "SOFT"}, "reboot"),
        ("os-stop", None, "stop"),
    ):
        message = f"Cannot '{nova_name}' instance {server_id} while it is in task_state rebuilding"
        await refused(api, 409, message, "POST", path, {name: body})


async def test_a_server_in_the_wrong_state(api: Api) -> None:
    server_id = await api.new()
    path = f"/servers/{server_id}/action"
    message = f"Cannot 'start' instance {server_id} while it is in vm_state active"
    await refused(api, 409, message, "POST", path, {"os-start": None})
    await api.set(server_id, vm_state="error")
    message = f"Cannot 'rebuild' instance {server_id} while it is in vm_state error"
    for image in (api.image, NONE):
        await refused(api, 409, message, "POST", path, {"rebuild": {"imageRef": image}})


async def test_a_server_that_could_not_be_built(api: Api) -> None:
    server_id = await api.new(finished=False)
    await api.set(server_id, vm_state="error", task_state=None)
    for name, body, nova_name in (("os-stop", None, "stop"), ("reboot", {"type": "HARD"}, "reboot")):
        message = f"Instance {server_id} is in an invalid state for '{nova_name}'"
        await refused(api, 409, message, "POST", f"/servers/{server_id}/action", {name: body})
    assert (await api.call("DELETE", f"/servers/{server_id}")).status_code == 204


async def test_a_locked_server(api: Api) -> None:
    server_id = await api.new()
    await api.set(server_id, locked_by="owner")
    message = f"Instance {server_id} is locked"
    for name, body in (
        *(("os-stop", None), ("reboot", {"type": "HARD"})),
        *(("rebuild", {"imageRef": image}) for image in (api.image, NONE)),
    ):
        await refused(api, 409, message, "POST", f"/servers/{server_id}/action", {name: body})
    await refused(api, 409, message, "DELETE", f"/servers/{server_id}")
    await refused(api, 409, message, "PUT", f"/servers/{server_id}/metadata", {"metadata": {}})


@pytest.mark.parametrize(
    ("rest", "body", "message"),
    [
        ("/tags/" + "x" * 61, None, f"Validation error message: '{'x' * 61}' is too long"),
        ("/tags/a,b", None, "Validation error message: 'a,b' does not match '^[^,/]*$'"),
        ("/tags/a", {"tag": "a"}, "{'tag': 'a'} is not of type 'null'"),
        ("/tags", {"tags": [str(n) for n in range(51)]}, "is too long"),
        ("/metadata/a", {"meta": {}}, "{} does not have enough properties"),
        ("/metadata/a", {"meta": {"a": "1", "b": "2"}}, "has too many properties"),
        ("/metadata/a", {"meta": {"b": "2"}}, "Request body and URI mismatch"),
    ],
)
async def test_tags_and_metadata(api: Api, rest: str, body: Any, message: str) -> None:
    server_id = await api.new()
    await refused(api, 400, message, "PUT", f"/servers/{server_id}{rest}", body, version="2.26")


async def test_malformed_actions(api: Api) -> None:
    server_id = await api.new()
    path = f"/servers/{server_id}/action"
    await refused(api, 400, "There is no such action: melt", "POST", path, {"melt": None})
    malformed: list[Any] = [{}, [], "reboot", {"os-start": None, "os-stop": None}]
    for body in malformed:
        await refused(api, 400, "Malformed request body", "POST", path, body)


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("limit=-1", 400, "Invalid input for query parameters limit. Value: -1."),
        ("limit=many", 400, "Invalid input for query parameters limit. Value: many."),
        (f"marker={NONE}", 400, f"marker [{NONE}] not found"),
        ("name=[", 400, "'[' is not a 'regex'"),
        ("name=(?P<x>a)", 400, "Invalid filter"),
        ("name=" + "(" * 3000 + ")" * 3000, 400, "is not a 'regex'"),
        ("name=" + "(" * 90 + "a" + "){1,255}" * 90, 400, "Invalid filter"),
        ("changes-since=yesterday", 400, "'yesterday' is not a 'date-time'"),
        ("status=nonesuch", 400, "Invalid status value"),
        ("status=DELETED", 403, "Only administrators may list deleted instances"),
        ("limit=", 400, "Invalid input for query parameters limit. Value: . '' is too short"),
        (
            "sort_key=secret",
            400,
            "Invalid input for query parameters sort_key. Value: secret. 'secret' is not one of ['access",
        ),
        ("sort_key=host", 403, "Only administrators can sort servers by host"),
        ("sort_dir=up", 400, "Unknown sort direction, must be 'desc' or 'asc'"),
        ("all_tenants=maybe", 400, "maybe"),
    ],
)
async def test_lists(api: Api, query: str, code: int, message: str) -> None:
    for path in ("/servers", "/servers/detail"):
        await refused(api, code, message, "GET", f"{path}?{query}", version="2.38")


async def test_a_pattern_that_unfolds_to_gigabytes(api: Api) -> None:
    await api.new("a" * 255)
    await refused(api, 400, "Invalid filter", "GET", "/servers?name=((((a{1,15}){1,15}){1,15}){1,15})b")


async def test_before_2_38_an_unknown_status_is_an_empty_list(api: Api) -> None:
    await api.new()
    assert await api.get("/servers?status=nonesuch", version="2.37") == {"servers": []}
    assert await api.get("/servers?status=PAUSED", version="2.38") == {"servers": []}
