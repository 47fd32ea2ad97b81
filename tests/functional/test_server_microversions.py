"""What microversions after 2.57 change in the calls on servers. Source: Nova's REST API version history."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import select

from renova.compute import rebuild
from renova.compute.states import TaskState
from renova.db.tables import Action, Generation
from tests.functional.api_without_agent import HOST, Api, api_without_agent

CERTIFICATES = ["0b5d2c72-12cc-4ba6-a8d7-3ff5cc1d8cb8"]


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with api_without_agent(database, tmp_path) as api:
        yield api


async def create(api: Api, version: str, *, hints: Any = None, **how: Any) -> str:
    """The id of a server that was asked for at `version`; `who` is the caller, the rest are fields."""
    who = how.pop("who", None)
    server = {"name": "web", "imageRef": api.image, "flavorRef": "1", "networks": "auto", **how}
    body = {"server": server} | ({"os:scheduler_hints": hints} if hints else {})
    answer = await api.call("POST", "/servers", body, version=version, who=who)
    assert answer.status_code == 202, answer.text
    server_id: str = answer.json()["server"]["id"]
    await api.finish(server_id)
    return server_id


async def shown(api: Api, server_id: str, version: str, **how: Any) -> dict[str, Any]:
    server: dict[str, Any] = (await api.get(f"/servers/{server_id}", version=version, **how))["server"]
    return server


async def refused(api: Api, code: int, message: str, *request: Any, **how: Any) -> None:
    answer = await api.call(*request, **how)
    assert answer.status_code == code, answer.text
    ((_, fault),) = answer.json().items()
    assert message in fault["message"]


async def test_what_was_asked_for_at_creation_is_shown(api: Api) -> None:
    server_id = await create(
        api,
        "2.94",
        hostname="web.example.org",
        availability_zone="nova",
        trusted_image_certificates=CERTIFICATES,
        hints={"same_host": HOST, "query": {"ram": 1}},
    )
    server = await shown(api, server_id, "2.100")
    assert server["OS-EXT-SRV-ATTR:hostname"] == "web.example.org"
    assert server["pinned_availability_zone"] == "nova"
    assert server["trusted_image_certificates"] == CERTIFICATES
    assert server["scheduler_hints"] == {"same_host": [HOST], "query": ['{"ram": 1}']}
    assert server["server_groups"] == []
    (listed,) = (await api.get("/servers/detail", version="2.100"))["servers"]
    assert listed == {name: value for name, value in server.items() if name != "server_groups"}


async def test_what_nobody_asked_for(api: Api) -> None:
    server = await shown(api, await create(api, "2.100"), "2.100")
    names = ("pinned_availability_zone", "trusted_image_certificates", "locked_reason", "scheduler_hints")
    assert [server[name] for name in names] == [None, None, None, {}]
    assert server["OS-EXT-SRV-ATTR:hostname"] == "web"


async def test_put_and_rebuild_answer_what_get_shows_from_2_75_on(api: Api) -> None:
    server_id = await create(api, "2.57")
    path = f"/servers/{server_id}"
    for version in ("2.74", "2.75", "2.100"):
        for who in (api.member, api.admin):
            answer = await api.call("PUT", path, {"server": {"name": "new"}}, version=version, who=who)
            seen = await shown(api, server_id, version, who=who)
            if version == "2.74":
                assert answer.json()["server"].keys() < seen.keys()
            else:
                assert answer.json()["server"] == seen
    answer = await api.act(server_id, "rebuild", {"imageRef": api.image}, version="2.100")
    extra = {"adminPass": answer.json()["server"]["adminPass"], "user_data": None, "progress": 0}
    assert answer.json()["server"] == await shown(api, server_id, "2.100") | extra


@pytest.mark.parametrize(("version", "hostname"), [("2.90", "other"), ("2.94", "other.example.org")])
async def test_a_rebuild_gives_another_host_name(api: Api, version: str, hostname: str) -> None:
    server_id = await create(api, version, hostname="first", trusted_image_certificates=CERTIFICATES)
    await api.act(server_id, "rebuild", {"imageRef": api.image, "name": "new"}, version=version)
    assert (await shown(api, server_id, version))["OS-EXT-SRV-ATTR:hostname"] == "first"
    await api.finish(server_id)
    wanted = {"imageRef": api.image, "hostname": hostname, "trusted_image_certificates": None}
    answer = await api.act(server_id, "rebuild", wanted, version=version)
    assert answer.status_code == 202, answer.text
    assert answer.json()["server"]["OS-EXT-SRV-ATTR:hostname"] == hostname
    assert answer.json()["server"]["trusted_image_certificates"] is None
    async with api.sessions.begin() as session:
        made_for = await session.scalars(
            select(Generation.hostname).where(Generation.server_id == server_id).order_by(Generation.number)
        )
        assert list(made_for)[-2:] == ["first", hostname]


async def test_a_restore_brings_the_host_name_back(api: Api) -> None:
    server_id = await create(api, "2.90", hostname="first", trusted_image_certificates=CERTIFICATES)
    wanted = {"imageRef": api.image, "hostname": "second", "trusted_image_certificates": None}
    await api.act(server_id, "rebuild", wanted, version="2.90")
    async with api.sessions.begin() as session:
        action = await session.scalar(select(Action).where(Action.action == "rebuild"))
        assert action is not None
        await rebuild.fail_rebuild(session, action, [TaskState.REBUILDING], "It did not boot.")
    server = await shown(api, server_id, "2.90")
    assert server["OS-EXT-SRV-ATTR:hostname"] == "first"
    assert server["trusted_image_certificates"] == CERTIFICATES


async def test_one_host_name_is_for_one_server(api: Api) -> None:
    server = {"name": "web", "imageRef": api.image, "flavorRef": "1", "networks": "auto", "max_count": 2}
    body = {"server": {**server, "hostname": "web"}}
    message = "Unable to allocate a single hostname to multiple instances"
    await refused(api, 400, message, "POST", "/servers", body, version="2.90")


async def test_put_changes_the_host_name(api: Api) -> None:
    server_id = await create(api, "2.57")
    path, body = f"/servers/{server_id}", {"server": {"hostname": "new.example.org"}}
    await refused(api, 400, "was unexpected", "PUT", path, body, version="2.89")
    await refused(api, 400, "does not match", "PUT", path, body, version="2.93")
    answer = await api.call("PUT", path, body, version="2.94")
    assert answer.json()["server"]["OS-EXT-SRV-ATTR:hostname"] == "new.example.org"


@pytest.mark.parametrize("field", ["host", "hypervisor_hostname"])
async def test_admins_name_the_host(api: Api, field: str) -> None:
    server = {"name": "web", "imageRef": api.image, "flavorRef": "1", "networks": "none"}
    policy = "Policy doesn't allow compute:servers:create:requested_destination to be performed."
    body = {"server": {**server, field: HOST}}
    await refused(api, 403, policy, "POST", "/servers", body, version="2.74")
    for more, message in (
        ({field: "nonesuch"}, "Compute host nonesuch could not be found."),
        ({field: HOST, "availability_zone": f"nova:{HOST}"}, "are mutually exclusive."),
    ):
        body = {"server": {**server, **more}}
        await refused(api, 400, message, "POST", "/servers", body, version="2.74", who=api.admin)


async def test_the_reason_of_a_lock(api: Api) -> None:
    server_id = await create(api, "2.57")
    path = f"/servers/{server_id}/action"
    assert (await api.act(server_id, "lock", "anything", version="2.72")).status_code == 202
    assert (await shown(api, server_id, "2.73"))["locked_reason"] is None
    await api.act(server_id, "unlock", version="2.73")
    for wrong in ("anything", {"locked_reason": ""}, {"locked_reason": "r" * 256}, {"reason": "r"}):
        await refused(api, 400, "Invalid input", "POST", path, {"lock": wrong}, version="2.73")
    reason = {"locked_reason": "I don't want to work"}
    assert (await api.act(server_id, "lock", reason, version="2.73")).status_code == 202
    server = await shown(api, server_id, "2.73")
    assert (server["locked"], server["locked_reason"]) == (True, "I don't want to work")
    await api.act(server_id, "unlock", version="2.73")
    assert (await shown(api, server_id, "2.73"))["locked_reason"] is None


async def names(api: Api, query: str, version: str, **how: Any) -> list[str]:
    answer = await api.get(f"/servers?{query}", version=version, **how)
    return [server["name"] for server in answer["servers"]]


async def test_lists_by_lock(api: Api) -> None:
    for name in ("a", "b", "c"):
        server_id = await create(api, "2.57", name=name)
        if name == "b":
            await api.act(server_id, "lock")
    assert await names(api, "locked=true", "2.73") == ["b"]
    assert await names(api, "locked=0&sort_key=display_name&sort_dir=asc", "2.73") == ["a", "c"]
    assert await names(api, "locked=true&sort_key=display_name&sort_dir=asc", "2.72") == ["a", "b", "c"]
    by_lock = "sort_key=locked&sort_key=display_name&sort_dir=desc&sort_dir=asc"
    assert await names(api, by_lock, "2.73") == ["b", "a", "c"]
    assert await names(api, by_lock, "2.72") == ["a", "b", "c"]
    message = "Invalid input received: Unrecognized value 'maybe'"
    await refused(api, 400, message, "GET", "/servers?locked=maybe", version="2.73")


async def test_lists_by_time(api: Api) -> None:
    await create(api, "2.57")
    earlier, later = (quote((datetime.now(UTC) + timedelta(hours=h)).isoformat()) for h in (-1, 1))
    assert await names(api, f"changes-before={later}", "2.66") == ["web"]
    assert await names(api, f"changes-before={earlier}", "2.66") == []
    assert await names(api, f"changes-before={earlier}", "2.65") == ["web"]
    message = "The value of changes-since must be less than or equal to changes-before."
    path = f"/servers?changes-since={later}&changes-before={earlier}"
    await refused(api, 400, message, "GET", path, version="2.66")


@pytest.mark.parametrize(
    ("query", "version"),
    [
        ("vm_state=error", "2.83"),
        ("task_state=spawning", "2.83"),
        ("key_name=other", "2.83"),
        ("availability_zone=other", "2.83"),
        ("config_drive=False", "2.83"),
        ("user_id=other", "2.83"),
        ("power_state=4", "2.83"),
        ("hostname=other", "2.90"),
    ],
)
async def test_owners_filter_by_more(api: Api, query: str, version: str) -> None:
    await create(api, "2.57")
    before = f"2.{int(version.removeprefix('2.')) - 1}"
    assert await names(api, query, before) == ["web"]
    assert await names(api, query, version) == []
    assert await names(api, query, before, who=api.admin) == []


async def test_unknown_parameters_of_lists(api: Api) -> None:
    await create(api, "2.57")
    message = "Additional properties are not allowed ('nonesuch' was unexpected)"
    assert await names(api, "nonesuch=1&sort_key=vcpus", "2.74") == ["web"]
    await refused(api, 400, message, "GET", "/servers?nonesuch=1", version="2.75")
    await refused(api, 400, "'vcpus' is not one of", "GET", "/servers?sort_key=vcpus", version="2.75")
    # Those whose unknown names are dropped are told nothing of inner tables either.
    assert await names(api, "services=1&_x=1", "2.75") == ["web"]
    refusal = "Invalid filter field: services."
    await refused(api, 400, refusal, "GET", "/servers?services=1", version="2.75", who=api.admin)


async def test_unknown_parameters_everywhere_from_2_102_on(api: Api) -> None:
    server_id = await create(api, "2.57")
    message = "Additional properties are not allowed ('nonesuch' was unexpected)"
    for path in (
        *("/flavors/1", "/flavors/1/os-extra_specs", "/extensions"),
        *(f"/servers/{server_id}{rest}" for rest in ("", "/ips", "/metadata", "/topology")),
    ):
        assert await api.get(f"{path}?nonesuch=1", version="2.101")
        await refused(api, 400, message, "GET", f"{path}?nonesuch=1", version="2.102")


async def test_pages_of_actions(api: Api) -> None:
    server_id = await create(api, "2.57")
    for _ in range(2):
        await api.act(server_id, "lock")
        await api.act(server_id, "unlock")
    path = f"/servers/{server_id}/os-instance-actions"
    whole = await api.get(f"{path}?limit=1", version="2.57")
    assert [action["action"] for action in whole["instanceActions"]] == [*(["unlock", "lock"] * 2), "create"]
    seen, query = [], "?limit=2"
    while query:
        page = await api.get(path + query, version="2.58")
        seen += page["instanceActions"]
        query = "?" + page["links"][0]["href"].partition("?")[2] if "links" in page else ""
    assert [{k: v for k, v in action.items() if k != "updated_at"} for action in seen] == whole[
        "instanceActions"
    ]
    await refused(api, 400, "marker [nonesuch] not found", "GET", f"{path}?marker=nonesuch", version="2.58")
    message = "Additional properties are not allowed ('changes-before' was unexpected)"
    now = quote((datetime.now(UTC) + timedelta(hours=1)).isoformat())
    await refused(api, 400, message, "GET", f"{path}?changes-before={now}", version="2.65")
    assert len((await api.get(f"{path}?changes-before={now}", version="2.66"))["instanceActions"]) == 5
    assert (await api.get(f"{path}?changes-since={now}", version="2.58"))["instanceActions"] == []


async def test_topology(api: Api) -> None:
    path = f"/servers/{await create(api, '2.57')}/topology"
    assert (await api.call("GET", path, version="2.77")).status_code == 404
    assert await api.get(path, version="2.78") == {"nodes": [], "pagesize_kb": None}


async def test_a_server_is_unpinned_and_pinned_again(api: Api) -> None:
    path = f"/servers/{await create(api, '2.96', availability_zone='nova')}"

    def pin(zone: str | None) -> dict[str, Any]:
        return {"server": {"pinned_availability_zone": zone}}

    await refused(api, 400, "was unexpected", "PUT", path, pin(None), version="2.103")
    message = "Cannot change pinned availability zone directly."
    await refused(api, 409, message, "PUT", path, pin("other"), version="2.104")
    for zone in ("nova", None, None):
        answer = await api.call("PUT", path, pin(zone), version="2.104")
        assert answer.json()["server"]["pinned_availability_zone"] == zone
    message = "Server can only be pinned to its current availability zone 'nova', but 'other' was requested."
    await refused(api, 409, message, "PUT", path, pin("other"), version="2.104")
    answer = await api.call("PUT", path, pin("nova"), version="2.104")
    assert answer.json()["server"]["pinned_availability_zone"] == "nova"


async def test_a_group_that_there_is_none_of(api: Api) -> None:
    group = "9f2c1b5e-5b0c-4a3e-9d0c-2f6a5a3b7c11"
    body = {
        "server": {"name": "web", "imageRef": api.image, "flavorRef": "1"},
        "os:scheduler_hints": {"group": group},
    }
    await refused(api, 400, f"Instance group {group} could not be found.", "POST", "/servers", body)
