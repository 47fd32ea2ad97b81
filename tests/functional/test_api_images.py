"""Images through Nova: up to 2.35, and their metadata up to 2.38."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.api_client import PROJECT
from tests.functional.api_without_agent import Api, api_without_agent

LINKS = [
    ("self", f"http://nova.example/v2.1/{PROJECT}/images"),
    ("bookmark", f"http://nova.example/{PROJECT}/images"),
    ("alternate", "http://glance.example/image/images"),
]


@pytest.fixture
async def api(tmp_path: Path, database: str) -> AsyncIterator[Api]:
    async with api_without_agent(database, tmp_path, "[quota]\nmetadata_items = 2\n") as api:
        yield api


async def ids(api: Api, query: str = "") -> list[str]:
    return [image["id"] for image in (await api.get(f"/images{query}"))["images"]]


async def test_an_image_as_nova_shows_it(api: Api) -> None:
    server_id = str(uuid4())
    api.glance.records[api.image] |= {"instance_uuid": server_id, "auto_disk_config": "True", "min_disk": 3}
    image = (await api.get(f"/images/{api.image}"))["image"]
    links = image.pop("links")
    assert [(link["rel"], link["href"]) for link in links] == [
        (rel, f"{href}/{api.image}") for rel, href in LINKS
    ]
    assert links[2]["type"] == "application/vnd.openstack.image"
    server = image.pop("server")
    assert (server["id"], [link["rel"] for link in server["links"]]) == (server_id, ["self", "bookmark"])
    assert image == {
        "id": api.image,
        "name": api.image,
        "status": "ACTIVE",
        "progress": 100,
        "minDisk": 3,
        "minRam": 0,
        "OS-EXT-IMG-SIZE:size": api.glance.records[api.image]["size"],
        "created": "2026-01-02T03:04:05Z",
        "updated": "2026-01-02T03:04:06Z",
        "metadata": {"instance_uuid": server_id, "auto_disk_config": "True"},
        "OS-DCF:diskConfig": "AUTO",
    }
    plain = (await api.get(f"/images/{api.other_image}"))["image"]
    assert plain["metadata"] == {}
    assert plain.keys().isdisjoint({"server", "OS-DCF:diskConfig"})


@pytest.mark.parametrize(
    ("glances", "status", "progress"),
    [("queued", "SAVING", 25), ("saving", "SAVING", 50), ("killed", "ERROR", 0), ("importing", "UNKNOWN", 0)],
)
async def test_statuses_are_novas(api: Api, glances: str, status: str, progress: int) -> None:
    api.glance.records[api.image]["status"] = glances
    image = (await api.get(f"/images/{api.image}"))["image"]
    assert (image["status"], image["progress"]) == (status, progress)


async def test_lists_come_in_pages_and_are_filtered(api: Api) -> None:
    for number in range(3):
        api.glance.add(f"image-{number}", b"x", name="same", image_type="snapshot")
    every = [api.image, api.other_image, "image-0", "image-1", "image-2"]
    assert await ids(api) == every
    first = await api.get("/images/detail?limit=3")
    assert [image["id"] for image in first["images"]] == every[:3]
    (following,) = first["images_links"]
    assert following["rel"] == "next"
    assert await ids(api, f"?limit=3&marker={every[2]}") == every[3:]
    assert await ids(api, "?name=same&limit=1") == ["image-0"]
    assert await ids(api, "?type=snapshot") == await ids(api, "?property-image_type=snapshot") == every[2:]
    assert await ids(api, "?status=ACTIVE&name=same") == every[2:]
    assert await ids(api, f"?server=http://nova.example/servers/{uuid4()}") == []
    brief = (await api.get("/images"))["images"][0]
    assert brief.keys() == {"id", "name", "links"}
    for query in ("?limit=0", "?limit=x", "?marker=nowhere", "?minRam=x"):
        assert (await api.call("GET", f"/images{query}")).status_code == 400


async def test_delete_is_what_glance_lets_the_caller_do(api: Api) -> None:
    assert (await api.call("DELETE", f"/images/{api.image}")).status_code == 204
    answer = await api.call("DELETE", f"/images/{api.image}")
    assert answer.status_code == 404
    assert answer.json()["itemNotFound"]["message"] == "Image not found."
    api.glance.records[api.other_image]["protected"] = True
    answer = await api.call("DELETE", f"/images/{api.other_image}")
    assert answer.status_code == 403
    assert answer.json()["forbidden"]["message"] == "You are not allowed to delete the image."
    # Glance knows no such token: that it is the caller's own which is asked with is the point.
    assert (await api.call("GET", f"/images/{api.other_image}", who=api.reader)).status_code == 401
    api.glance.hidden.add(api.other_image)
    assert (await api.call("GET", f"/images/{api.other_image}")).status_code == 404
    api.glance.down = True
    assert (await api.call("GET", "/images")).status_code == 503


async def test_metadata_is_the_properties(api: Api) -> None:
    path = f"/images/{api.image}/metadata"

    async def write(method: str, where: str, body: Any) -> Any:
        answer = await api.call(method, path + where, body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert await api.get(path) == {"metadata": {}}
    assert await write("POST", "", {"metadata": {"os_distro": "debian"}}) == {
        "metadata": {"os_distro": "debian"}
    }
    assert await write("PUT", "/a", {"meta": {"a": "1"}}) == {"meta": {"a": "1"}}
    assert await api.get(path + "/a") == {"meta": {"a": "1"}}
    assert (await api.get(path))["metadata"] == {"os_distro": "debian", "a": "1"}
    assert (await api.call("POST", path, {"metadata": {"b": "1"}})).status_code == 403
    assert await write("PUT", "", {"metadata": {"b": "2"}}) == {"metadata": {"b": "2"}}
    assert api.glance.records[api.image].keys().isdisjoint({"a", "os_distro"})
    assert (await api.call("DELETE", path + "/b")).status_code == 204
    for method in ("GET", "DELETE"):
        assert (await api.call(method, path + "/b")).status_code == 404
    assert (await api.call("PUT", path + "/x", {"meta": {"y": "1"}})).status_code == 400
    assert (await api.call("PUT", path, {"metadata": {"name": "other"}})).status_code == 400
    assert api.glance.records[api.image]["name"] == api.image


async def test_then_clients_go_to_glance(api: Api) -> None:
    for path in ("/images", "/images/detail", f"/images/{api.image}"):
        assert (await api.call("GET", path, version="2.35")).status_code == 200
        assert (await api.call("GET", path, version="2.36")).status_code == 404
    assert (await api.call("DELETE", f"/images/{api.image}", version="2.36")).status_code == 404
    path = f"/images/{api.image}/metadata"
    assert (await api.call("GET", path, version="2.38")).status_code == 200
    assert (await api.call("GET", path, version="2.39")).status_code == 404
