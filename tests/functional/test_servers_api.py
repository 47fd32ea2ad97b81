"""Servers through the API over a real database: what is shown, what is listed, and what a request writes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tests.api_client import PROJECT
from tests.functional.api_without_agent import Api, api_without_agent


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with api_without_agent(database, tmp_path) as api:
        yield api


async def test_create_answers_and_shows_the_server(api: Api) -> None:
    body = {
        "server": {
            "name": "web",
            "imageRef": api.image,
            "flavorRef": "1",
            "key_name": "key",
            "metadata": {"role": "web"},
            "adminPass": "secret",
            "networks": "auto",
            "description": "A server",
            "tags": ["b", "a"],
            "user_data": "aGk=",
        }
    }
    answer = await api.call("POST", "/servers", body, version="2.52")
    assert answer.status_code == 202
    created = answer.json()["server"]
    assert created.keys() == {"id", "links", "adminPass", "OS-DCF:diskConfig", "security_groups"}
    assert created["adminPass"] == "secret"
    assert answer.headers["Location"] == created["links"][0]["href"]
    building = (await api.get(f"/servers/{created['id']}", version="2.52"))["server"]
    assert (building["status"], building["addresses"]) == ("BUILD", {})
    await api.finish(created["id"])
    shown = (await api.get(f"/servers/{created['id']}", version="2.52"))["server"]
    assert shown["status"] == "ACTIVE"
    assert shown["metadata"] == {"role": "web"}
    assert (shown["description"], shown["tags"], shown["key_name"]) == ("A server", ["a", "b"], "key")
    (address,) = shown["addresses"]["private"]
    assert address["OS-EXT-IPS-MAC:mac_addr"].startswith("fa:16:3e:")
    ips = await api.get(f"/servers/{created['id']}/ips")
    assert ips == {"addresses": {"private": [{"version": 4, "addr": address["addr"]}]}}
    assert await api.get(f"/servers/{created['id']}/ips/private") == ips["addresses"]
    assert (await api.call("GET", f"/servers/{created['id']}/ips/other")).status_code == 404


async def test_before_2_19_the_description_is_the_name(api: Api) -> None:
    server_id = await api.new("web")
    assert (await api.get(f"/servers/{server_id}", version="2.19"))["server"]["description"] == "web"


async def test_several_at_once_share_a_reservation(api: Api) -> None:
    server = {
        "name": "w",
        "imageRef": api.image,
        "flavorRef": "1",
        "min_count": 2,
        "return_reservation_id": True,
    }
    answer = await api.call("POST", "/servers", {"server": server})
    reservation = answer.json()["reservation_id"]
    listed = await api.get(f"/servers?reservation_id={reservation}")
    assert sorted(entry["name"] for entry in listed["servers"]) == ["w-1", "w-2"]


async def test_a_client_may_say_twice_that_it_boots_from_the_image(api: Api) -> None:
    """python-openstackclient does so with every `server create --image`."""
    device = {
        "uuid": api.image,
        "boot_index": 0,
        "source_type": "image",
        "destination_type": "local",
        "delete_on_termination": True,
    }
    await api.new(block_device_mapping_v2=[device])


@pytest.mark.parametrize("networks", ["none", "auto"])
async def test_networks_by_word(api: Api, networks: str) -> None:
    body = {"server": {"name": "w", "imageRef": api.image, "flavorRef": "1", "networks": networks}}
    server_id = (await api.call("POST", "/servers", body, version="2.37")).json()["server"]["id"]
    await api.finish(server_id)
    shown = (await api.get(f"/servers/{server_id}"))["server"]
    assert bool(shown["addresses"]) == (networks == "auto")
    assert ("security_groups" in shown) == (networks == "auto")


async def test_lists_come_in_pages_newest_first(api: Api) -> None:
    ids = [await api.new(f"w{number}", finished=False) for number in range(3)]
    first = await api.get("/servers?limit=2")
    assert [entry["id"] for entry in first["servers"]] == ids[:0:-1]
    (link,) = first["servers_links"]
    assert link["href"].endswith(f"/v2.1/{PROJECT}/servers?limit=2&marker={ids[1]}")
    second = await api.get(f"/servers?limit=2&marker={ids[1]}")
    assert [entry["id"] for entry in second["servers"]] == ids[:1]
    assert "servers_links" not in second
    detail = await api.get("/servers/detail?limit=2")
    assert "/servers/detail?" in detail["servers_links"][0]["href"]
    by_name = await api.get("/servers?sort_key=display_name&sort_dir=asc")
    assert [entry["id"] for entry in by_name["servers"]] == ids


async def test_a_server_that_changes_between_two_pages_marks_its_place(api: Api) -> None:
    ids = [await api.new(f"w{number}") for number in range(3)]
    (newest,) = (await api.get("/servers?status=ACTIVE&limit=1"))["servers"]
    await api.act(newest["id"], "rebuild", {"imageRef": api.other_image})
    rest = await api.get(f"/servers?status=ACTIVE&marker={newest['id']}")
    assert [entry["id"] for entry in rest["servers"]] == ids[1::-1]
    await api.finish(newest["id"])
    await api.call("DELETE", f"/servers/{newest['id']}")
    await api.finish(newest["id"])
    rest = await api.get(f"/servers?marker={newest['id']}")
    assert [entry["id"] for entry in rest["servers"]] == ids[1::-1]
    strange = await api.call("GET", f"/servers?marker={ids[0]}", who=api.stranger, prefix="/v2.1")
    assert strange.status_code == 400


async def test_a_list_asks_the_database_no_more_for_more_servers(api: Api) -> None:
    async def queries() -> int:
        seen: list[str] = []

        def note(_c: object, _u: object, statement: str, *_rest: object) -> None:
            seen.append(statement)

        event.listen(Engine, "before_cursor_execute", note)
        await api.get("/servers/detail", who=api.admin)
        event.remove(Engine, "before_cursor_execute", note)
        return len(seen)

    await api.new()
    of_one = await queries()
    for _ in range(4):
        await api.new()
    assert await queries() == of_one


async def test_filters(api: Api) -> None:
    blue = await api.new("blue", tags=["x", "y"])
    green = await api.new("green", tags=["y"])
    await api.act(green, "os-stop")

    async def names(query: str, **how: str) -> set[str]:
        return {entry["name"] for entry in (await api.get(f"/servers?{query}", **how))["servers"]}

    address = (await api.get(f"/servers/{blue}/ips"))["addresses"]["private"][0]["addr"]
    assert await names("name=bl") == {"blue"}
    assert await names("name=e$") == {"blue"}
    assert await names("status=active") == {"blue", "green"}
    assert await names("status=SHUTOFF") == set()
    await api.finish(green)
    assert await names("status=ACTIVE") == {"blue"}
    assert await names("status=ACTIVE&status=SHUTOFF") == {"blue", "green"}
    assert await names(f"image={api.image}") == {"blue", "green"}
    assert await names(f"image={api.other_image}") == set()
    assert await names("flavor=1") == {"blue", "green"}
    assert await names("flavor=nonesuch") == set()
    assert await names(f"ip={address}$") == {"blue"}
    assert await names("tags=x,y", version="2.26") == {"blue"}
    assert await names("tags-any=x,z", version="2.26") == {"blue"}
    assert await names("not-tags=x", version="2.26") == {"green"}
    assert await names("not-tags-any=x,y", version="2.26") == set()
    assert await names("changes-since=2100-01-01T00:00:00Z") == set()
    # What only admins may filter by is dropped from others' requests, as in Nova.
    assert await names("host=elsewhere") == {"blue", "green"}


async def test_only_admins_look_at_all_projects_and_hosts(api: Api) -> None:
    await api.new("mine")
    assert (await api.get("/servers", who=api.stranger, prefix="/v2.1"))["servers"] == []
    assert (await api.call("GET", "/servers?all_tenants=1")).status_code == 403
    everywhere = await api.get("/servers/detail?all_tenants=1", who=api.admin)
    assert [entry["OS-EXT-SRV-ATTR:host"] for entry in everywhere["servers"]] == ["host-1"]
    assert (await api.get("/servers?host=elsewhere", who=api.admin))["servers"] == []


async def test_a_deleted_server_is_gone_but_its_actions_stay(api: Api) -> None:
    server_id = await api.new()
    assert (await api.call("DELETE", f"/servers/{server_id}")).status_code == 204
    await api.finish(server_id)
    assert (await api.call("GET", f"/servers/{server_id}")).status_code == 404
    assert (await api.get("/servers"))["servers"] == []
    changed = await api.get("/servers/detail?changes-since=2020-01-01T00:00:00Z")
    assert [entry["status"] for entry in changed["servers"]] == ["DELETED"]
    deleted = await api.get("/servers?deleted=true", who=api.admin)
    assert [entry["id"] for entry in deleted["servers"]] == [server_id]
    path = f"/servers/{server_id}/os-instance-actions"
    assert (await api.call("GET", path, version="2.20")).status_code == 404
    actions = (await api.get(path, version="2.21"))["instanceActions"]
    assert [action["action"] for action in actions] == ["delete", "create"]


async def test_events_are_shown_to_owners_from_2_51_on(api: Api) -> None:
    server_id = await api.new()
    path = f"/servers/{server_id}/os-instance-actions"
    (action,) = (await api.get(path))["instanceActions"]
    one = f"{path}/{action['request_id']}"
    assert (await api.get(one))["instanceAction"] == action
    assert (await api.get(one, version="2.51"))["instanceAction"] == action | {"events": []}
    assert (await api.get(one, who=api.admin))["instanceAction"] == action | {"events": []}
    missing = await api.call("GET", f"{path}/req-none")
    assert missing.json() == {"itemNotFound": {"code": 404, "message": "Action req-none not found"}}


async def test_update(api: Api) -> None:
    server_id = await api.new()
    changes = {"name": "other", "accessIPv4": "1.2.3.4", "description": None, "OS-DCF:diskConfig": "AUTO"}
    answer = await api.call("PUT", f"/servers/{server_id}", {"server": changes}, version="2.19")
    assert answer.status_code == 200
    assert changes.items() <= answer.json()["server"].items()
    shown = (await api.get(f"/servers/{server_id}", version="2.19"))["server"]
    assert changes.items() <= shown.items()


async def test_the_compatible_mode_takes_what_it_does_not_know(api: Api) -> None:
    server = {"name": " spaces ", "imageRef": api.image, "flavorRef": "1", "unknown": 1}
    answer = await api.call("POST", "/servers", {"server": server}, prefix="/v2")
    assert answer.status_code == 202
    shown = await api.get(f"/servers/{answer.json()['server']['id']}", prefix="/v2")
    assert shown["server"]["name"] == "spaces"


async def test_power(api: Api) -> None:
    server_id = await api.new()
    for name, body, status, after in (
        ("os-stop", None, "ACTIVE", "SHUTOFF"),
        ("os-start", None, "SHUTOFF", "ACTIVE"),
        ("reboot", {"type": "SOFT"}, "REBOOT", "ACTIVE"),
        ("reboot", {"type": "HARD"}, "HARD_REBOOT", "ACTIVE"),
    ):
        answer = await api.act(server_id, name, body)
        assert (answer.status_code, answer.content) == (202, b"")
        assert (await api.get(f"/servers/{server_id}"))["server"]["status"] == status
        await api.finish(server_id)
        assert (await api.get(f"/servers/{server_id}"))["server"]["status"] == after


async def test_metadata(api: Api) -> None:
    server_id = await api.new(metadata={"a": "1"})
    path = f"/servers/{server_id}/metadata"
    added = await api.call("POST", path, {"metadata": {"b": "2"}})
    assert (added.status_code, added.json()) == (200, {"metadata": {"a": "1", "b": "2"}})
    item = await api.call("PUT", f"{path}/a", {"meta": {"a": "3"}})
    assert (item.status_code, item.json()) == (200, {"meta": {"a": "3"}})
    assert await api.get(f"{path}/a") == {"meta": {"a": "3"}}
    assert (await api.call("DELETE", f"{path}/b")).status_code == 204
    assert await api.get(path) == {"metadata": {"a": "3"}}
    replaced = await api.call("PUT", path, {"metadata": {"c": "4"}})
    assert replaced.json() == {"metadata": {"c": "4"}}
    assert (await api.call("GET", f"{path}/a")).json() == {
        "itemNotFound": {"code": 404, "message": "Metadata item was not found"}
    }


async def test_the_charging_mode_is_the_operators(api: Api) -> None:
    server_id = await api.new(metadata={"a": "1"})
    path = f"/servers/{server_id}/metadata"
    prepaid = await api.call("POST", path, {"metadata": {"charging_mode": "1"}}, who=api.admin)
    assert prepaid.json() == {"metadata": {"a": "1", "charging_mode": "1"}}
    for method, where, body in (
        ("POST", path, {"metadata": {"charging_mode": "0"}}),
        ("PUT", path, {"metadata": {"charging_mode": "1"}}),
        ("PUT", f"{path}/charging_mode", {"meta": {"charging_mode": "0"}}),
        ("DELETE", f"{path}/charging_mode", None),
    ):
        assert (await api.call(method, where, body)).status_code == 403
    kept = await api.call("PUT", path, {"metadata": {}})
    assert kept.json() == {"metadata": {"charging_mode": "1"}}
    refused = await api.act(server_id, "rebuild", {"imageRef": api.other_image})
    assert refused.status_code == 409


async def test_metadata_while_a_rebuild_runs(api: Api) -> None:
    server_id = await api.new()
    assert (await api.act(server_id, "rebuild", {"imageRef": api.other_image})).status_code == 202
    added = await api.call("POST", f"/servers/{server_id}/metadata", {"metadata": {"a": "1"}})
    assert (added.status_code, added.json()) == (200, {"metadata": {"a": "1"}})


async def test_a_lock_holds_off_all_but_admins(api: Api) -> None:
    server_id = await api.new()
    locked = await api.act(server_id, "lock")
    assert (locked.status_code, locked.content) == (202, b"")
    assert (await api.get(f"/servers/{server_id}", version="2.9"))["server"]["locked"] is True
    assert (await api.act(server_id, "os-stop")).status_code == 409
    assert (await api.act(server_id, "unlock")).status_code == 202
    assert (await api.get(f"/servers/{server_id}", version="2.9"))["server"]["locked"] is False
    await api.act(server_id, "lock")
    assert (await api.act(server_id, "os-stop", who=api.admin)).status_code == 202
    url = f"/servers/{server_id}/os-instance-actions"
    actions = (await api.get(url))["instanceActions"]
    assert [action["action"] for action in actions] == ["stop", "lock", "unlock", "lock", "create"]
    shown = await api.get(f"{url}/{locked.headers['x-compute-request-id']}", version="2.51")
    (event,) = shown["instanceAction"]["events"]
    assert (event["event"], event["result"]) == ("api_lock", "Success")


async def test_an_owner_does_not_undo_an_admins_lock(api: Api) -> None:
    server_id = await api.new()
    elsewhere = api.tokens.give("admin", user_id="admin", project_id="e" * 32)
    await api.act(server_id, "lock")
    assert (await api.act(server_id, "lock", who=elsewhere, prefix="/v2.1")).status_code == 202
    before = await api.rows()
    for name, code in (("lock", 202), ("unlock", 403)):
        assert (await api.act(server_id, name)).status_code == code
    assert (await api.act(server_id, "lock", who=api.reader)).status_code == 403
    assert (await api.act(server_id, "unlock", who=api.stranger, prefix="/v2.1")).status_code == 404
    assert await api.rows() == before
    assert (await api.act(server_id, "unlock", who=elsewhere, prefix="/v2.1")).status_code == 202
    assert (await api.act(server_id, "os-stop")).status_code == 202


async def test_tags(api: Api) -> None:
    server_id = await api.new()
    path = f"/servers/{server_id}/tags"
    assert (await api.call("GET", path, version="2.25")).status_code == 404
    new = await api.call("PUT", f"{path}/blue", version="2.26")
    assert new.status_code == 201
    assert new.headers["Location"].endswith(f"{path}/blue")
    assert (await api.call("PUT", f"{path}/blue", version="2.26")).status_code == 204
    assert (await api.call("PUT", f"{path}/blåbær", version="2.26")).status_code == 201
    assert (await api.call("GET", f"{path}/blue", version="2.26")).status_code == 204
    assert (await api.call("GET", f"{path}/red", version="2.26")).status_code == 404
    whole = await api.call("PUT", path, {"tags": ["z", "y"]}, version="2.26")
    assert whole.json() == {"tags": ["y", "z"]}
    assert (await api.call("DELETE", f"{path}/y", version="2.26")).status_code == 204
    assert await api.get(path, version="2.26") == {"tags": ["z"]}
    assert (await api.call("DELETE", path, version="2.26")).status_code == 204
    assert await api.get(path, version="2.26") == {"tags": []}
