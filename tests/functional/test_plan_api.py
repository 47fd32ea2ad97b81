"""planRebuild: what a rebuild would do, told to a client, and nothing done."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from tests.fake_glance import CALLER
from tests.functional.api_without_agent import HOST, Api, api_without_agent


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with api_without_agent(database, tmp_path, "[quota]\nmetadata_items = 2\n") as api:
        yield api


async def plan(api: Api, server_id: str, body: dict[str, Any], **how: Any) -> dict[str, Any]:
    """The plan, after a look that nothing has changed."""
    before = await api.rows()
    answer = await api.act(server_id, "planRebuild", body, **how)
    assert answer.status_code == 200, answer.text
    assert await api.rows() == before
    told: dict[str, Any] = answer.json()["plan"]
    return told


async def test_what_is_kept_replaced_and_lost(api: Api) -> None:
    server_id = await api.new("before", metadata={"role": "old"}, key_name="key")
    shown = (await api.get(f"/servers/{server_id}"))["server"]
    body = {"imageRef": api.other_image, "name": "after", "key_name": None, "user_data": "ZWNobw=="}
    told = await plan(api, server_id, body, version="2.57")
    assert (told["possible"], told["refusals"]) == (True, [])
    assert told["kept"]["id"] == server_id
    assert told["kept"]["addresses"] == [shown["addresses"]["private"][0]["addr"]]
    assert told["kept"]["flavor"] == "1"
    assert told["kept"]["host"] == shown["hostId"]
    assert told["kept"]["metadata"] == {"role": "old"}
    assert told["replaced"] == [
        {"what": "image", "from": api.image, "to": api.other_image},
        {"what": "name", "from": "before", "to": "after"},
        {"what": "hostname", "from": "before", "to": "after"},
        {"what": "key_name", "from": "key", "to": None},
        {"what": "user_data", "from": False, "to": True},
    ]
    assert told["lost"] == [{"what": "root disk", "generation": 1, "image": api.image, "kept_hours": 24}]
    why = "the machine stays and its disks are exchanged"
    assert told["stop"] == {"method": "swap", "why": why, "at_most_seconds": 60}
    assert told["verify"] == {"by": "settling", "at_most_seconds": 5}


async def test_the_bytes_to_fetch_are_those_that_the_host_does_not_have(api: Api) -> None:
    server_id = await api.new()
    size = len(api.glance.data[api.other_image])
    assert (await plan(api, server_id, {"imageRef": api.other_image}))["fetch"] == {"bytes": size}
    record = api.glance.records[api.other_image]
    digest = f"{record['os_hash_algo']}:{record['os_hash_value']}"
    async with api.sessions.begin() as session:
        await session.execute(
            text("INSERT INTO cached_images VALUES (:host, :digest, 'qcow2', :size, 0)"),
            {"host": HOST, "digest": digest, "size": size},
        )
    assert (await plan(api, server_id, {"imageRef": api.other_image}))["fetch"] == {"bytes": 0}


async def test_a_promised_guest_agent_is_what_is_waited_for(api: Api) -> None:
    server_id, image = await api.new(), str(uuid4())
    api.glance.add(image, api.glance.data[api.image], hw_qemu_guest_agent="yes")
    told = await plan(api, server_id, {"imageRef": image})
    assert told["verify"] == {"by": "guest agent", "at_most_seconds": 300}


async def test_an_image_may_ask_for_a_new_qemu(api: Api) -> None:
    server_id, image = await api.new(), str(uuid4())
    api.glance.add(image, api.glance.data[api.image], renova_rebuild_method="respawn")
    told = await plan(api, server_id, {"imageRef": image})
    assert told["stop"]["method"] == "respawn"
    assert told["stop"]["why"] == "an image has renova_rebuild_method=respawn"


async def test_a_server_that_is_off_has_nothing_to_stop(api: Api) -> None:
    server_id = await api.new()
    await api.set(server_id, vm_state="stopped")
    told = await plan(api, server_id, {"imageRef": api.other_image})
    assert told["stop"] == {"method": "none", "why": "the server is off", "at_most_seconds": 0}
    assert told["verify"] == {"by": None, "at_most_seconds": 0}


async def test_what_was_kept_for_an_undo_is_lost_by_the_next_rebuild(api: Api) -> None:
    server_id = await api.new()
    await api.act(server_id, "rebuild", {"imageRef": api.other_image})
    await api.finish_rebuild(server_id)
    told = await plan(api, server_id, {"imageRef": api.image})
    assert told["lost"] == [
        {"what": "root disk", "generation": 2, "image": api.other_image, "kept_hours": 24},
        {"what": "kept system", "generation": 1, "image": api.image, "kept_hours": 0},
    ]


@pytest.mark.parametrize(
    ("profile", "preserve", "kept", "lost"),
    [
        ("noa", False, ["ephemeral disk"], ["root disk", "swap disk"]),
        ("nova", False, [], ["root disk", "ephemeral disk", "swap disk"]),
        ("nova", True, ["ephemeral disk"], ["root disk", "swap disk"]),
    ],
)
async def test_which_data_disks_are_kept_and_which_are_made_anew(
    database: str, tmp_path: Path, profile: str, kept: list[str], lost: list[str], *, preserve: bool
) -> None:
    async with api_without_agent(database, tmp_path, f"[compute]\nprofile = {profile}\n") as api:
        flavor = {"name": "data", "ram": 512, "vcpus": 1, "disk": 1, "swap": 64}
        flavor |= {"id": "data", "OS-FLV-EXT-DATA:ephemeral": 1}
        assert (await api.call("POST", "/flavors", {"flavor": flavor}, who=api.admin)).status_code == 200
        server_id = await api.new(flavorRef="data")
        told = await plan(api, server_id, {"imageRef": api.other_image, "preserve_ephemeral": preserve})
        assert told["kept"]["disks"] == kept
        assert [loss["what"] for loss in told["lost"]] == lost
        assert told["stop"]["method"] == "respawn"
        assert {loss["kept_hours"] for loss in told["lost"]} == {24}


async def test_every_reason_is_told_at_once(api: Api) -> None:
    server_id = await api.new()
    await api.act(server_id, "lock")
    await api.set(server_id, task_state="powering-off", charging_mode="1")
    missing = str(uuid4())
    body = {"imageRef": missing, "key_name": "nobody's", "metadata": {"a": "1", "b": "2", "c": "3"}}
    told = await plan(api, server_id, body, version="2.54")
    assert told["possible"] is False
    assert told["refusals"] == [
        {"code": 409, "message": "A server in yearly/monthly payments can't be rebuilt."},
        {"code": 409, "message": f"Instance {server_id} is locked"},
        {
            "code": 409,
            "message": f"Cannot 'rebuild' instance {server_id} while it is in task_state powering-off",
        },
        {"code": 400, "message": "Invalid key_name provided."},
        {"code": 403, "message": "Maximum number of metadata items exceeds 2"},
        {"code": 400, "message": "Cannot find image for rebuild"},
    ]
    assert told["fetch"] == {"bytes": None}


async def test_every_reason_against_an_image_is_told(api: Api) -> None:
    server_id, image = await api.new(), str(uuid4())
    api.glance.add(image, api.glance.data[api.image], min_ram=4096, min_disk=9, hw_disk_bus="ide")
    told = await plan(api, server_id, {"imageRef": image})
    sentences = [refusal["message"] for refusal in told["refusals"]]
    assert sentences[0] == "Flavor's memory is too small for requested image."
    assert sentences[1].startswith("Flavor's disk is smaller than the minimum size")
    assert sentences[2] == f"Image {image} is unacceptable: hw_disk_bus=ide is not supported"
    assert await rebuild_refusal(api, server_id, image) == sentences[0], "a rebuild says the first of them"


async def rebuild_refusal(api: Api, server_id: str, image: str) -> str:
    answer = await api.act(server_id, "rebuild", {"imageRef": image})
    message: str = answer.json()["badRequest"]["message"]
    return message


async def test_a_reader_is_told_that_the_rebuild_is_not_theirs(api: Api) -> None:
    server_id = await api.new()
    reader = api.tokens.give("reader", user_id=CALLER)  # The fake Glance knows this one.
    told = await plan(api, server_id, {"imageRef": api.other_image}, who=reader)
    (refusal,) = told["refusals"]
    assert refusal == {
        "code": 403,
        "message": "Policy doesn't allow os_compute_api:servers:rebuild to be performed.",
    }


@pytest.mark.parametrize(
    ("body", "code"),
    [(None, 400), ({}, 400), ({"imageRef": "x"}, 400), ({"imageRef": str(uuid4()), "flavorRef": "1"}, 400)],
)
async def test_a_body_that_no_rebuild_has_is_refused(api: Api, body: Any, code: int) -> None:
    answer = await api.act(await api.new(), "planRebuild", body)
    assert answer.status_code == code
    assert "message" in answer.json()["badRequest"]


async def test_a_field_of_a_later_microversion_is_refused(api: Api) -> None:
    body = {"imageRef": api.image, "key_name": None}
    assert (await api.act(await api.new(), "planRebuild", body, version="2.53")).status_code == 400


async def test_a_server_of_another_project_is_not_found(api: Api) -> None:
    server_id = await api.new()
    project = "f" * 32
    answer = await api.act(
        server_id, "planRebuild", {"imageRef": api.image}, who=api.stranger, prefix=f"/v2.1/{project}"
    )
    assert answer.status_code == 404
