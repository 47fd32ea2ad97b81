"""Answers about servers against the documents of Nova's API reference, doc/api_samples/servers."""

from datetime import UTC, datetime
from typing import Any

import pytest

from renova.api.microversions import MAXIMUM, parse
from renova.api.views import servers as views
from renova.api.views.hosts import host_id
from renova.api.views.links import Links
from renova.api.views.servers import Sight
from renova.compute.states import TaskState, VmState
from renova.db.tables import Network, Port, Server

PROJECT = "6f70656e737461636b20342065766572"
SERVER = "0e44cc9c-e052-415d-afbf-469b0d384170"
IMAGE = "70a599e0-31e7-49b7-b260-868f441e862b"
LINKS = Links("http://openstack.example.com", "v2.1", PROJECT)
SELF = f"http://openstack.example.com/v2.1/{PROJECT}/servers/{SERVER}"
BOOKMARK = f"http://openstack.example.com/{PROJECT}/servers/{SERVER}"
SERVER_LINKS = [{"href": SELF, "rel": "self"}, {"href": BOOKMARK, "rel": "bookmark"}]
OWNER = Sight(LINKS)
ADMIN = Sight(
    LINKS, host_attributes=True, extra_specs=True, fault_details=True, host_status={"compute-1": "UP"}
)

FLAVOR_LINK = {
    "id": "1",
    "links": [{"href": f"http://openstack.example.com/{PROJECT}/flavors/1", "rel": "bookmark"}],
}
FLAVOR = {"original_name": "m1.tiny", "vcpus": 1, "ram": 512, "disk": 1, "ephemeral": 0, "swap": 0}

IMAGE_REFERENCE = {
    "id": IMAGE,
    "links": [{"href": f"http://openstack.example.com/{PROJECT}/images/{IMAGE}", "rel": "bookmark"}],
}
# doc/api_samples/servers/server-update-resp.json
UPDATE_2_1 = {
    "OS-DCF:diskConfig": "AUTO",
    "accessIPv4": "1.2.3.4",
    "accessIPv6": "80fe::",
    "addresses": {"private": [{"addr": "192.168.1.30", "version": 4}]},
    "created": "2013-09-03T04:01:32Z",
    "flavor": FLAVOR_LINK,
    "hostId": "6ecda64e9c54aded9f07cf1f76501a94fcf2cc84e2f6d958a653bb1f",
    "id": SERVER,
    "image": IMAGE_REFERENCE,
    "links": SERVER_LINKS,
    "metadata": {"My Server Name": "Apache1"},
    "name": "new-server-test",
    "progress": 0,
    "status": "ACTIVE",
    "tenant_id": PROJECT,
    "updated": "2013-09-03T04:01:33Z",
    "user_id": "admin",
}
# doc/api_samples/servers/server-get-resp.json, without its volumes and without what only admins see.
SHOW_2_1 = UPDATE_2_1 | {
    "addresses": {
        "private": [
            {
                "addr": "192.168.1.30",
                "OS-EXT-IPS-MAC:mac_addr": "00:0c:29:0d:11:74",
                "OS-EXT-IPS:type": "fixed",
                "version": 4,
            }
        ]
    },
    "key_name": None,
    "config_drive": "",
    "OS-EXT-AZ:availability_zone": "us-west",
    "OS-EXT-STS:power_state": 1,
    "OS-EXT-STS:task_state": None,
    "OS-EXT-STS:vm_state": "active",
    "os-extended-volumes:volumes_attached": [],
    "OS-SRV-USG:launched_at": "2013-09-23T13:37:00.880302",
    "OS-SRV-USG:terminated_at": None,
    "security_groups": [{"name": "default"}],
}
ADMIN_2_1 = {
    "OS-EXT-SRV-ATTR:host": "compute-1",
    "OS-EXT-SRV-ATTR:hypervisor_hostname": "compute-1",
    "OS-EXT-SRV-ATTR:instance_name": "instance-0e44cc9c",
}
# doc/api_samples/servers/v2.3/server-get-resp.json
ADMIN_2_3 = ADMIN_2_1 | {
    "OS-EXT-SRV-ATTR:reservation_id": "r-00000001",
    "OS-EXT-SRV-ATTR:launch_index": 0,
    "OS-EXT-SRV-ATTR:kernel_id": "",
    "OS-EXT-SRV-ATTR:ramdisk_id": "",
    "OS-EXT-SRV-ATTR:hostname": "new-server-test",
    "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda",
    "OS-EXT-SRV-ATTR:user_data": "ZWNobyAiaGVsbG8gd29ybGQi",
}
# What each version adds to every answer about a server: doc/api_samples/servers/v2.9, v2.19, v2.26, v2.47,
# v2.63, v2.71, v2.73, v2.98 …
SINCE: dict[str, dict[str, Any]] = {
    "2.9": {"locked": False},
    "2.19": {"description": None},
    "2.26": {"tags": []},
    "2.47": {"flavor": FLAVOR},
    "2.63": {"trusted_image_certificates": ["0b5d2c72-12cc-4ba6-a8d7-3ff5cc1d8cb8"]},
    "2.71": {"server_groups": []},
    "2.73": {"locked_reason": None},
    "2.98": {
        "image": IMAGE_REFERENCE | {"properties": {"architecture": "x86_64", "auto_disk_config": "True"}}
    },
}
# … and what the samples of v2.90, v2.96 and v2.100 add to whole ones: PUT and rebuild are whole since 2.75.
WHOLE_SINCE: dict[str, dict[str, Any]] = {
    "2.90": {"OS-EXT-SRV-ATTR:hostname": "new-server-test"},
    "2.96": {"pinned_availability_zone": "us-west"},
    "2.100": {"scheduler_hints": {"same_host": ["48e6a9f6-30af-47e0-bc04-acaed113bb4e"]}},
}


def added_by(version: str, added: dict[str, dict[str, Any]] = SINCE) -> dict[str, Any]:
    return {
        name: value
        for first, fields in added.items()
        if parse(first) <= parse(version)
        for name, value in fields.items()
    }


def whole(version: str, *, admin: bool = False, listed: bool = False) -> dict[str, Any]:
    """What GET shows of a server at a version."""
    expected = SHOW_2_1 | added_by(version) | added_by(version, WHOLE_SINCE)
    if listed:
        expected.pop("server_groups", None)
    if not admin:
        return expected
    expected |= ADMIN_2_3 if parse(version) >= (2, 3) else ADMIN_2_1
    if parse(version) >= (2, 16):
        expected["host_status"] = "UP"
    if parse(version) >= (2, 47):
        expected["flavor"] = FLAVOR | {"extra_specs": {"hw:numa_nodes": "1"}}
    return expected


def make_server(**changes: Any) -> Server:
    network = Network(id="net", label="private", cidr="192.168.1.0/24")
    values: dict[str, Any] = {
        "id": SERVER,
        "project_id": PROJECT,
        "user_id": "admin",
        "name": "new-server-test",
        "hostname": "new-server-test",
        "description": None,
        "vm_state": VmState.ACTIVE,
        "task_state": None,
        "power_state": 1,
        "progress": 0,
        "host": "compute-1",
        "flavor": {
            "id": "1",
            "name": "m1.tiny",
            "vcpus": 1,
            "ram": 512,
            "disk": 1,
            "ephemeral": 0,
            "swap": 0,
            "extra_specs": {"hw:numa_nodes": "1"},
        },
        "image_id": IMAGE,
        "image_properties": {"architecture": "x86_64", "auto_disk_config": "True", "owner_note": "private"},
        "trusted_image_certificates": ["0b5d2c72-12cc-4ba6-a8d7-3ff5cc1d8cb8"],
        "meta": {"My Server Name": "Apache1"},
        "tags": [],
        "key_name": None,
        "user_data": "ZWNobyAiaGVsbG8gd29ybGQi",
        "disk_config": "AUTO",
        "config_drive": False,
        "access_ip_v4": "1.2.3.4",
        "access_ip_v6": "80fe::",
        "availability_zone": "us-west",
        "pinned_availability_zone": "us-west",
        "scheduler_hints": {"same_host": ["48e6a9f6-30af-47e0-bc04-acaed113bb4e"]},
        "reservation_id": "r-00000001",
        "launch_index": 0,
        "locked_by": None,
        "locked_reason": None,
        "charging_mode": "0",
        "fault": None,
        "created_at": datetime(2013, 9, 3, 4, 1, 32, tzinfo=UTC),
        "updated_at": datetime(2013, 9, 3, 4, 1, 33, tzinfo=UTC),
        "launched_at": datetime(2013, 9, 23, 13, 37, 0, 880302, tzinfo=UTC),
        "terminated_at": None,
        "ports": [Port(mac="00:0c:29:0d:11:74", address="192.168.1.30", network=network)],
    }
    return Server(**(values | changes))


VERSIONS = [
    "2.1",
    "2.3",
    "2.8",
    "2.9",
    "2.18",
    "2.19",
    "2.25",
    "2.26",
    "2.46",
    "2.47",
    "2.53",
    "2.54",
    "2.57",
    "2.62",
    "2.63",
    "2.70",
    "2.71",
    "2.72",
    "2.73",
    "2.74",
    "2.75",
    "2.89",
    "2.90",
    "2.95",
    "2.96",
    "2.97",
    "2.98",
    "2.99",
    "2.100",
    str(MAXIMUM),
]


@pytest.mark.parametrize("version", VERSIONS)
def test_show_to_an_owner(version: str) -> None:
    assert views.shown(make_server(), OWNER).at(parse(version)) == whole(version)


@pytest.mark.parametrize("version", VERSIONS)
def test_show_to_an_admin(version: str) -> None:
    assert views.shown(make_server(), ADMIN).at(parse(version)) == whole(version, admin=True)


# doc/api_samples/servers/v2.71/servers-details-resp.json and later: a list names no groups.
@pytest.mark.parametrize("version", VERSIONS)
def test_list_in_detail(version: str) -> None:
    assert views.detail(make_server(), OWNER).at(parse(version)) == whole(version, listed=True)


PARTIAL = [version for version in VERSIONS if parse(version) < (2, 75)]
WHOLE = [version for version in VERSIONS if parse(version) >= (2, 75)]


@pytest.mark.parametrize("version", PARTIAL)
def test_update(version: str) -> None:
    assert views.updated(make_server(), ADMIN).at(parse(version)).keys() == UPDATE_2_1.keys() | added_by(
        version
    )
    assert views.updated(make_server(), OWNER).at(parse(version)) == UPDATE_2_1 | added_by(version)


# doc/api_samples/servers/v2.54 and v2.57, server-action-rebuild-resp.json; the page's example for progress.
@pytest.mark.parametrize("version", PARTIAL)
def test_rebuild(version: str) -> None:
    server = make_server(task_state=TaskState.REBUILDING, progress=1, key_name="new-key")
    expected = UPDATE_2_1 | added_by(version) | {"adminPass": "seekr3t", "status": "REBUILD", "progress": 0}
    if parse(version) >= (2, 54):
        expected["key_name"] = "new-key"
    if parse(version) >= (2, 57):
        expected["user_data"] = "ZWNobyAiaGVsbG8gd29ybGQi"
    assert views.rebuilt(server, OWNER, "seekr3t").at(parse(version)) == expected


# doc/api_samples/servers/v2.75/server-action-rebuild-resp.json and later. Owner's user_data has one name, and
# the host's attributes, which admins see, do not repeat it.
@pytest.mark.parametrize("version", WHOLE)
def test_a_whole_rebuild(version: str) -> None:
    server = make_server(task_state=TaskState.REBUILDING, progress=1)
    expected = {
        "adminPass": "seekr3t",
        "status": "REBUILD",
        "OS-EXT-STS:task_state": "rebuilding",
        "user_data": "ZWNobyAiaGVsbG8gd29ybGQi",
    }
    answer = views.rebuilt_in_detail(server, OWNER, "seekr3t").at(parse(version))
    assert answer == whole(version) | expected
    seen_by_admins = whole(version, admin=True) | expected
    del seen_by_admins["OS-EXT-SRV-ATTR:user_data"]
    assert views.rebuilt_in_detail(server, ADMIN, "seekr3t").at(parse(version)) == seen_by_admins


def test_create() -> None:
    # doc/api_samples/servers/server-create-resp.json
    assert views.created(make_server(), OWNER, "6NpUwoz2QDRN", views.DEFAULT_GROUP).at(parse("2.57")) == {
        "OS-DCF:diskConfig": "AUTO",
        "adminPass": "6NpUwoz2QDRN",
        "id": SERVER,
        "links": SERVER_LINKS,
        "security_groups": [{"name": "default"}],
    }


def test_list() -> None:
    # doc/api_samples/servers/servers-list-resp.json
    assert views.entry(make_server(), OWNER).at(parse("2.1")) == {
        "id": SERVER,
        "links": SERVER_LINKS,
        "name": "new-server-test",
    }


def test_a_server_being_built_hides_its_addresses() -> None:
    shown = views.detail(make_server(vm_state=VmState.BUILDING, task_state="spawning"), OWNER).at(
        parse("2.1")
    )
    assert (shown["status"], shown["addresses"]) == ("BUILD", {})


def test_progress_is_shown_only_while_it_means_something() -> None:
    assert "progress" not in views.detail(make_server(vm_state=VmState.STOPPED), OWNER).at(parse("2.1"))
    rebuilding = make_server(vm_state=VmState.STOPPED, task_state=TaskState.REBUILDING, progress=41)
    assert views.detail(rebuilding, OWNER).at(parse("2.1"))["progress"] == 41


def test_a_server_without_ports_is_in_no_security_group() -> None:
    shown = views.detail(make_server(ports=[]), OWNER).at(parse("2.1"))
    assert shown["addresses"] == {}
    assert "security_groups" not in shown


def test_access_addresses_that_nobody_set_are_empty() -> None:
    shown = views.detail(make_server(access_ip_v4=None, access_ip_v6=None), OWNER).at(parse("2.1"))
    assert (shown["accessIPv4"], shown["accessIPv6"]) == ("", "")


FAULT = {"code": 500, "created": "2026-11-23T18:00:00Z", "message": "It broke.", "details": "Where it broke."}


def test_a_fault_is_shown_also_after_a_restore() -> None:
    """The server is ACTIVE on its old OS: Nova would hide the fault, and with it that the rebuild failed."""
    shown = views.detail(make_server(fault=FAULT), OWNER).at(parse("2.1"))
    assert shown["fault"] == {name: FAULT[name] for name in ("code", "created", "message")}
    assert views.detail(make_server(fault=FAULT), ADMIN).at(parse("2.1"))["fault"] == FAULT


def test_charging_mode_is_shown_where_it_is_not_the_default() -> None:
    shown = views.detail(make_server(charging_mode="1"), OWNER).at(parse("2.1"))
    assert shown["metadata"] == {"My Server Name": "Apache1", "charging_mode": "1"}


def test_the_same_host_has_another_id_in_another_project() -> None:
    assert host_id(PROJECT, "compute-1") != host_id("other", "compute-1")
