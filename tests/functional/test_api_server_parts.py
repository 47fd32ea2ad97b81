"""What hangs on a server: network cards, security groups, volumes; and the state that an admin sets."""

import ipaddress
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api_client import PROJECT
from tests.functional.api_without_agent import Api, api_without_agent

VOLUME = str(uuid.uuid4())


@pytest.fixture
async def api(tmp_path: Path, database: str) -> AsyncIterator[Api]:
    async with api_without_agent(database, tmp_path) as api:
        yield api


def message(answer: Any) -> str:
    (fault,) = answer.json().values()
    return str(fault["message"])


async def test_interfaces_are_the_servers_ports(api: Api) -> None:
    server_id = await api.new()
    (address,) = (await api.get(f"/servers/{server_id}"))["server"]["addresses"]["private"]
    (interface,) = (await api.get(f"/servers/{server_id}/os-interface", who=api.reader))[
        "interfaceAttachments"
    ]
    port_id = interface["port_id"]
    (fixed,) = interface["fixed_ips"]
    assert interface == {
        "port_id": str(uuid.UUID(port_id)),
        "net_id": str(uuid.UUID(interface["net_id"])),
        "mac_addr": address["OS-EXT-IPS-MAC:mac_addr"],
        "port_state": "ACTIVE",
        "fixed_ips": [{"ip_address": address["addr"], "subnet_id": str(uuid.UUID(fixed["subnet_id"]))}],
    }
    assert ipaddress.ip_address(fixed["ip_address"])
    path = f"/servers/{server_id}/os-interface"
    assert await api.get(f"{path}/{port_id}") == {"interfaceAttachment": interface}
    missing = await api.call("GET", f"{path}/{VOLUME}")
    assert missing.status_code == 404
    assert message(missing) == f"Instance {server_id} does not have a port with id {VOLUME}"


async def test_every_server_is_in_the_projects_default_group(api: Api) -> None:
    groups = [
        (await api.get(f"/servers/{await api.new()}/os-security-groups"))["security_groups"] for _ in range(2)
    ]
    assert groups[0] == groups[1]
    (group,) = groups[0]
    assert (group["name"], group["tenant_id"]) == ("default", PROJECT)
    (rule,) = group["rules"]
    assert (rule["parent_group_id"], rule["ip_range"]) == (group["id"], {"cidr": "0.0.0.0/0"})


async def test_no_server_has_a_volume_and_there_is_none_to_be_had(api: Api) -> None:
    server_id = await api.new()
    path = f"/servers/{server_id}/os-volume_attachments"
    assert await api.get(f"{path}?limit=5&offset=1", who=api.reader) == {"volumeAttachments": []}
    assert (await api.call("GET", f"{path}?limit=x")).status_code == 400
    shown = await api.call("GET", f"{path}/{VOLUME}")
    assert shown.status_code == 404
    assert message(shown) == f"Instance {server_id} is not attached to volume {VOLUME}"
    body = {"volumeAttachment": {"volumeId": VOLUME, "device": "/dev/vdb"}}
    for answer in (await api.call("POST", path, body), await api.call("DELETE", f"{path}/{VOLUME}")):
        assert answer.status_code == 404
        assert message(answer) == f"Volume {VOLUME} could not be found."
    swap = {"volumeAttachment": {"volumeId": VOLUME}}
    assert (await api.call("PUT", f"{path}/{VOLUME}", swap)).status_code == 403
    assert (await api.call("POST", path, body, who=api.reader)).status_code == 403
    assert (await api.call("POST", f"/servers/{VOLUME}/os-volume_attachments", body)).status_code == 404


@pytest.mark.parametrize(
    ("attachment", "version", "said"),
    [
        ({}, "2.1", "'volumeId' is a required property"),
        ({"volumeId": "x"}, "2.1", "'x' is not a 'uuid'"),
        ({"volumeId": VOLUME, "device": "sda"}, "2.1", "does not match"),
        ({"volumeId": VOLUME, "tag": "a"}, "2.48", "('tag' was unexpected)"),
    ],
)
async def test_what_is_refused_before_a_volume_is_looked_for(
    api: Api, attachment: Any, version: str, said: str
) -> None:
    path = f"/servers/{await api.new()}/os-volume_attachments"
    answer = await api.call("POST", path, {"volumeAttachment": attachment}, version=version)
    assert answer.status_code == 400
    assert said in message(answer)


async def test_an_admin_sets_the_state(api: Api) -> None:
    server_id = await api.new()
    for state, status in (("error", "ERROR"), ("active", "ACTIVE")):
        answer = await api.act(server_id, "os-resetState", {"state": state}, who=api.admin)
        assert answer.status_code == 202
        assert (await api.get(f"/servers/{server_id}"))["server"]["status"] == status
    actions = (await api.get(f"/servers/{server_id}/os-instance-actions"))["instanceActions"]
    assert [action["action"] for action in actions] == ["resetState", "resetState", "create"]


async def test_who_may_not_set_the_state_and_when_nobody_may(api: Api) -> None:
    server_id = await api.new(finished=False)
    before = await api.rows()
    state = {"state": "active"}
    assert (await api.act(server_id, "os-resetState", state)).status_code == 403
    assert (await api.act(VOLUME, "os-resetState", state, who=api.admin)).status_code == 404
    for wrong in ({}, {"state": "stopped"}, {"state": "active", "more": 1}, None):
        assert (await api.act(server_id, "os-resetState", wrong, who=api.admin)).status_code == 400
    # An agent is building the server.
    busy = await api.act(server_id, "os-resetState", state, who=api.admin)
    assert busy.status_code == 409
    assert message(busy) == (
        f"Cannot 'reset_state' instance {server_id} while it is in task_state scheduling"
    )
    assert await api.rows() == before


@pytest.mark.parametrize(
    "name", ["migrate", "os-migrateLive", "evacuate", "pause", "shelve", "rescue", "addSecurityGroup"]
)
async def test_actions_that_are_none_here(api: Api, name: str) -> None:
    answer = await api.act(await api.new(), name, who=api.admin)
    assert answer.status_code == 400
    assert message(answer) == f"There is no such action: {name}"
