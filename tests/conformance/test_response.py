"""The seed page, "Response" and "Examples": a test for each row of table 4, and the examples."""

import re
from typing import Any
from uuid import UUID

import pytest

from tests.api_client import PROJECT
from tests.fake_glance import CALLER
from tests.functional.api_without_agent import Api

# The names of the page's example response.
EXAMPLE = {
    *(
        "tenant_id",
        "image",
        "accessIPv4",
        "addresses",
        "metadata",
        "accessIPv6",
        "created",
        "hostId",
        "adminPass",
    ),
    *("flavor", "OS-DCF:diskConfig", "user_id", "name", "progress", "links", "id", "updated", "status"),
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@pytest.fixture
async def before(api: Api) -> dict[str, Any]:
    """A server as it is shown before its rebuild."""
    server_id = await api.new("before", metadata={"old": "1"})
    shown: dict[str, Any] = (await api.get(f"/servers/{server_id}"))["server"]
    return shown


@pytest.fixture
async def server(api: Api, before: dict[str, Any]) -> dict[str, Any]:
    """The answer to the page's example request, its image being one that is here."""
    body = {"imageRef": api.other_image, "name": "rebuildName", "metadata": {"rebuild": "rebuild vm"}}
    answer = await api.act(before["id"], "rebuild", body)
    assert answer.status_code == 202, answer.text
    rebuilt: dict[str, Any] = answer.json()["server"]
    return rebuilt


async def test_the_example_response_has_these_names_and_no_other(server: dict[str, Any]) -> None:
    assert server.keys() == EXAMPLE


async def test_status_specifies_the_ecs_status(server: dict[str, Any]) -> None:
    assert server["status"] == "REBUILD"


async def test_updated_specifies_the_time_of_the_last_update(
    server: dict[str, Any], before: dict[str, Any]
) -> None:
    assert TIME.fullmatch(server["updated"])
    assert server["updated"] >= before["updated"]


async def test_host_id_specifies_the_host_on_which_the_ecs_is_deployed(
    server: dict[str, Any], before: dict[str, Any]
) -> None:
    assert re.fullmatch("[0-9a-f]{56}", server["hostId"])
    assert server["hostId"] == before["hostId"]


async def test_addresses_specifies_the_network_attribute(
    server: dict[str, Any], before: dict[str, Any]
) -> None:
    """The table says a list, the example an object; it is the object, its key the network's label."""
    (address,) = before["addresses"]["private"]
    assert server["addresses"] == {"private": [{"addr": address["addr"], "version": 4}]}


async def test_links_specifies_self_and_bookmark(server: dict[str, Any]) -> None:
    """The example's self link begins with /v2; ours with the prefix of the request."""
    tail = f"{PROJECT}/servers/{server['id']}"
    assert server["links"] == [
        {"rel": "self", "href": f"http://nova.example/v2.1/{tail}"},
        {"rel": "bookmark", "href": f"http://nova.example/{tail}"},
    ]


async def test_the_self_link_of_a_request_to_v2_is_in_v2(api: Api, before: dict[str, Any]) -> None:
    answer = await api.act(before["id"], "rebuild", {"imageRef": api.image}, prefix=f"/v2/{PROJECT}")
    self_link = answer.json()["server"]["links"][0]["href"]
    assert self_link == f"http://nova.example/v2/{PROJECT}/servers/{before['id']}"


async def test_image_specifies_the_ecs_image_information(api: Api, server: dict[str, Any]) -> None:
    bookmark = {"rel": "bookmark", "href": f"http://nova.example/{PROJECT}/images/{api.other_image}"}
    assert server["image"] == {"id": api.other_image, "links": [bookmark]}


async def test_flavor_specifies_the_ecs_flavor(server: dict[str, Any]) -> None:
    bookmark = {"rel": "bookmark", "href": f"http://nova.example/{PROJECT}/flavors/1"}
    assert server["flavor"] == {"id": "1", "links": [bookmark]}


async def test_id_specifies_the_ecs_id_in_uuid_format(server: dict[str, Any], before: dict[str, Any]) -> None:
    assert str(UUID(server["id"])) == server["id"] == before["id"]


async def test_user_id_specifies_the_user_of_the_ecs(server: dict[str, Any]) -> None:
    assert server["user_id"] == CALLER


async def test_name_specifies_the_ecs_name(server: dict[str, Any]) -> None:
    assert server["name"] == "rebuildName"


async def test_tenant_id_specifies_the_tenant_who_owns_the_ecs(server: dict[str, Any]) -> None:
    assert server["tenant_id"] == PROJECT


async def test_disk_config_specifies_the_disk_config_type(server: dict[str, Any]) -> None:
    assert server["OS-DCF:diskConfig"] in {"MANUAL", "AUTO"}


async def test_access_ipv4_and_access_ipv6_are_discarded(server: dict[str, Any]) -> None:
    assert (server["accessIPv4"], server["accessIPv6"]) == ("", "")


async def test_progress_specifies_the_progress(server: dict[str, Any]) -> None:
    """The table says a string, the example 0; it is the integer."""
    assert server["progress"] == 0
    assert isinstance(server["progress"], int)


async def test_metadata_specifies_the_ecs_metadata(server: dict[str, Any]) -> None:
    """The example answers {"name": …} to another metadata; ours is what was sent."""
    assert server["metadata"] == {"rebuild": "rebuild vm"}


async def test_created_and_admin_pass_of_the_example_are_answered_too(
    server: dict[str, Any], before: dict[str, Any]
) -> None:
    assert server["created"] == before["created"]
    assert re.fullmatch("[A-Za-z0-9]{12}", server["adminPass"])
