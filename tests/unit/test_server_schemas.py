"""Which bodies are taken, by microversion and profile. Source: Nova's JSON schemas of servers."""

from typing import Any

import pytest
from pydantic import ValidationError

from renova.api.marked import Request
from renova.api.microversions import MAXIMUM, parse
from renova.api.schemas.rebuild import BY_PROFILE, NoaRebuildServer, RebuildServer
from renova.api.schemas.server_actions import GetConsoleOutput, RebootServer, StartServer
from renova.api.schemas.servers import CreateServer, UpdateServer

IMAGE = "70a599e0-31e7-49b7-b260-868f441e862b"
NETWORK = "443dd9e3-c165-4764-ad92-b17fcf12a3eb"


def takes(model: type[Request], body: Any, version: str) -> bool:
    try:
        model.parse(body, parse(version))
    except ValidationError:
        return False
    return True


def takes_new(version: str, **fields: Any) -> bool:
    networks = {"networks": "auto"} if parse(version) >= (2, 37) and "networks" not in fields else {}
    server = {"name": "new-server-test", "imageRef": IMAGE, "flavorRef": "1", **networks, **fields}
    return takes(CreateServer, {"server": server}, version)


def takes_rebuild(version: str, profile: str = "nova", **fields: Any) -> bool:
    return takes(BY_PROFILE[profile], {"rebuild": {"imageRef": IMAGE, **fields}}, version)


# The first version that takes a field, and the last one where there is one.
CREATE_STEPS = [
    ("description", "text", "2.19", None),
    ("tags", ["blue"], "2.52", None),
    ("personality", [{"path": "/etc/motd", "contents": "aGk="}], "2.1", "2.56"),
    ("networks", [{"uuid": NETWORK, "tag": "nic1"}], "2.32", "2.36"),
    ("networks", [{"uuid": NETWORK, "tag": "nic1"}], "2.42", None),
    ("networks", [{"uuid": "no uuid"}], "2.1", "2.36"),
    ("networks", "auto", "2.37", None),
    ("networks", "none", "2.37", None),
    ("block_device_mapping_v2", [{"boot_index": 0, "tag": "disk1"}], "2.32", "2.32"),
    ("block_device_mapping_v2", [{"boot_index": 0, "tag": "disk1"}], "2.42", None),
    ("trusted_image_certificates", ["cert"], "2.63", None),
    ("trusted_image_certificates", None, "2.63", None),
    ("block_device_mapping_v2", [{"boot_index": 0, "volume_type": "fast"}], "2.67", None),
    ("host", "compute-1", "2.74", None),
    ("hypervisor_hostname", "compute-1", "2.74", None),
    ("hostname", "web-1", "2.90", None),
    ("hostname", "web.example.org", "2.94", None),
]
REBUILD_STEPS = [
    ("description", None, "2.19", None),
    ("key_name", None, "2.54", None),
    ("key_name", "key", "2.54", None),
    ("user_data", None, "2.57", None),
    ("user_data", "aGk=", "2.57", None),
    ("personality", [{"path": "/etc/motd", "contents": "aGk="}], "2.1", "2.56"),
    ("trusted_image_certificates", None, "2.63", None),
    ("trusted_image_certificates", ["cert"], "2.63", None),
    ("hostname", "web-1", "2.90", None),
    ("hostname", "web.example.org", "2.94", None),
]
UPDATE_STEPS = [
    ("description", None, "2.19", None),
    ("hostname", "web-1", "2.90", None),
    ("hostname", "web.example.org", "2.94", None),
    ("pinned_availability_zone", None, "2.104", None),
    ("pinned_availability_zone", "nova", "2.104", None),
]
VERSIONS = [f"2.{minor}" for minor in range(1, MAXIMUM.minor + 1)]


def has(version: str, first: str, last: str | None) -> bool:
    return parse(first) <= parse(version) and (last is None or parse(version) <= parse(last))


@pytest.mark.parametrize(("name", "value", "first", "last"), CREATE_STEPS)
def test_fields_of_create_come_and_go(name: str, value: Any, first: str, last: str | None) -> None:
    spans = [(f, t) for n, v, f, t in CREATE_STEPS if (n, v) == (name, value)]
    for version in VERSIONS:
        assert takes_new(version, **{name: value}) == any(has(version, f, t) for f, t in spans), version


@pytest.mark.parametrize("profile", ["nova", "noa"])
@pytest.mark.parametrize(("name", "value", "first", "last"), REBUILD_STEPS)
def test_fields_of_rebuild_come_and_go(
    name: str, value: Any, first: str, last: str | None, profile: str
) -> None:
    for version in VERSIONS:
        assert takes_rebuild(version, profile, **{name: value}) == has(version, first, last), version


@pytest.mark.parametrize(("name", "value", "first", "last"), UPDATE_STEPS)
def test_fields_of_update_come_and_go(name: str, value: Any, first: str, last: str | None) -> None:
    for version in VERSIONS:
        body = {"server": {name: value}}
        assert takes(UpdateServer, body, version) == has(version, first, last), version


@pytest.mark.parametrize(
    "fields",
    [
        {"trusted_image_certificates": []},
        {"trusted_image_certificates": [""]},
        {"trusted_image_certificates": ["same", "same"]},
        {"trusted_image_certificates": [str(number) for number in range(51)]},
        {"trusted_image_certificates": "cert"},
        {"hostname": None},
        {"hostname": ""},
        {"hostname": "h" * 256},
        {"hostname": "no host"},
    ],
)
def test_create_and_rebuild_refuse(fields: dict[str, Any]) -> None:
    assert not takes_new("2.100", **fields)
    assert not takes_rebuild("2.100", "nova", **fields)
    assert not takes_rebuild("2.100", "noa", **fields)


@pytest.mark.parametrize("hostname", ["h", "h" * 64, "-web", "web-", "web_1"])
def test_host_names_were_labels(hostname: str) -> None:
    assert not takes_new("2.93", hostname=hostname)
    assert takes_new("2.94", hostname=hostname)


def test_networks_have_to_be_sent_from_2_37_on() -> None:
    body = {"server": {"name": "a", "imageRef": IMAGE, "flavorRef": "1"}}
    assert takes(CreateServer, body, "2.36")
    assert not takes(CreateServer, body, "2.37")


@pytest.mark.parametrize(
    "fields",
    [
        {"unknown": 1},
        {"name": ""},
        {"name": "n" * 256},
        {"name": " leading"},
        {"name": 7},
        {"name": None},
        {"imageRef": "no uuid"},
        {"flavorRef": ""},
        {"key_name": None},
        {"user_data": "not base64!"},
        {"user_data": "no base64"},
        {"user_data": "a" * 65536},
        {"metadata": {"key": 1}},
        {"metadata": {"k" * 256: "v"}},
        {"metadata": {"key": "v" * 256}},
        {"metadata": {"": "v"}},
        {"metadata": []},
        {"networks": {}},
        {"networks": [{"unknown": 1}]},
        {"networks": [{"uuid": NETWORK, "fixed_ip": "300.1.1.1"}]},
        {"OS-DCF:diskConfig": "auto"},
        {"accessIPv4": "::1"},
        {"accessIPv6": "10.0.0.1"},
        {"min_count": 0},
        {"max_count": "many"},
        {"config_drive": "maybe"},
        {"security_groups": ["default"]},
        {"personality": [{"path": "/etc/motd", "contents": "not base64!"}]},
        {"personality": [{"contents": "aGk="}]},
    ],
)
def test_create_refuses(fields: dict[str, Any]) -> None:
    assert not takes_new("2.1", **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "n" * 255},
        {"imageRef": ""},
        {"flavorRef": 1},
        {"min_count": "2", "max_count": 3},
        {"config_drive": "True"},
        {"metadata": {"My Server Name": "", "a:b.c_d-e": "v" * 255}},
        {"user_data": ""},
        {"user_data": "aGkg\ndGhlcmU=\n"},
        {"networks": [{"uuid": NETWORK, "fixed_ip": "10.0.0.7"}, {"port": None}]},
        {"security_groups": [{"name": "default"}]},
        {"accessIPv4": "1.2.3.4", "accessIPv6": "80fe::"},
    ],
)
def test_create_takes(fields: dict[str, Any]) -> None:
    assert takes_new("2.1", **fields)


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"server": None},
        {"server": []},
        {"server": {"name": "a"}},
        {"server": {"name": "a", "flavorRef": "1", "imageRef": IMAGE}, "other": 1},
    ],
)
def test_malformed_creates(body: Any) -> None:
    assert not takes(CreateServer, body, "2.1")


def test_hints_may_be_anything() -> None:
    server = {"name": "a", "flavorRef": "1", "imageRef": IMAGE}
    assert takes(CreateServer, {"server": server, "os:scheduler_hints": {"anything": [1]}}, "2.1")
    assert takes(CreateServer, {"server": server, "OS-SCH-HNT:scheduler_hints": {}}, "2.1")


@pytest.mark.parametrize(
    "hints",
    [
        {"group": "no uuid"},
        {"different_host": ["x"]},
        {"query": 1},
        {"cidr": "24"},
        {"build_near_host_ip": "x"},
    ],
)
def test_hints_that_nova_knows_have_a_form(hints: dict[str, Any]) -> None:
    server = {"name": "a", "flavorRef": "1", "imageRef": IMAGE}
    assert not takes(CreateServer, {"server": server, "os:scheduler_hints": hints}, "2.1")


def test_update() -> None:
    assert takes(UpdateServer, {"server": {"name": "a", "accessIPv4": "1.2.3.4"}}, "2.1")
    assert takes(UpdateServer, {"server": {"description": None}}, "2.19")
    assert not takes(UpdateServer, {"server": {"description": None}}, "2.18")
    assert not takes(UpdateServer, {"server": {"name": "n" * 256}}, "2.1")
    assert not takes(UpdateServer, {"server": {"metadata": {}}}, "2.1")


# What the seed page's Table 3 says differently from Nova.
@pytest.mark.parametrize(
    ("fields", "noa", "nova"),
    [
        ({"name": "n" * 254}, True, True),
        ({"name": "n" * 255}, False, True),
        ({"name": ""}, False, False),
        ({"user_data": ""}, False, True),
        ({"user_data": "a" * 65532}, True, True),
        ({"user_data": "a" * 65534 + "=="}, False, False),
        ({"imageRef": f"https://172.30.32.132:443/project/images/{IMAGE}"}, True, False),
        ({"imageRef": "https://172.30.32.132:443/images/no-uuid"}, False, False),
        ({"imageRef": None}, False, False),
        ({"imageRef": ""}, False, False),
        ({"adminPass": None}, False, False),
        ({"metadata": None}, False, False),
        ({"preserve_ephemeral": "true"}, True, True),
        ({"preserve_ephemeral": 1}, False, False),
        ({"OS-DCF:diskConfig": "MANUAL"}, True, True),
        ({"key_name": ""}, False, False),
    ],
)
def test_rebuild_by_profile(fields: dict[str, Any], noa: bool, nova: bool) -> None:
    assert takes_rebuild("2.57", "noa", **fields) is noa
    assert takes_rebuild("2.57", "nova", **fields) is nova


def test_user_data_at_its_longest() -> None:
    """65,534 is not a length that base64 can have, so the page's limit is met at 65,532."""
    assert not takes_rebuild("2.57", "noa", user_data="a" * 65536)
    assert not takes_rebuild("2.57", "nova", user_data="a" * 65536)


def test_an_image_url_becomes_its_id() -> None:
    body = {"rebuild": {"imageRef": f"http://glance.example.com/v2/images/{IMAGE}"}}
    assert NoaRebuildServer.parse(body, parse("2.1")).rebuild.image_ref == IMAGE


def test_absence_is_not_null() -> None:
    absent = RebuildServer.parse({"rebuild": {"imageRef": IMAGE}}, parse("2.57")).rebuild
    null = RebuildServer.parse({"rebuild": {"imageRef": IMAGE, "key_name": None}}, parse("2.57")).rebuild
    assert (absent.key_name, null.key_name) == (None, None)
    assert (absent.sent("key_name"), null.sent("key_name")) == (False, True)


def test_the_compatible_mode_drops_what_it_does_not_know() -> None:
    body = {"rebuild": {"imageRef": IMAGE, "key_name": "key", "unknown": 1}}
    assert not RebuildServer.parse(body, parse("2.1"), legacy=True).rebuild.sent("key_name")


def test_actions() -> None:
    for kind in ("HARD", "Hard", "hard", "SOFT", "Soft", "soft"):
        assert takes(RebootServer, {"reboot": {"type": kind}}, "2.1")
    for mistake in (None, {}, {"type": "firm"}):
        assert not takes(RebootServer, {"reboot": mistake}, "2.1")
    assert takes(StartServer, {"os-start": None}, "2.1")
    for length in (None, -1, 0, 50, "50"):
        assert takes(GetConsoleOutput, {"os-getConsoleOutput": {"length": length}}, "2.1")
    assert takes(GetConsoleOutput, {"os-getConsoleOutput": {}}, "2.1")
    for wrong in (-2, "-2", "many", 1.5, True):
        assert not takes(GetConsoleOutput, {"os-getConsoleOutput": {"length": wrong}}, "2.1")
