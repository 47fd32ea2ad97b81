"""Our client against the real Keystone and Glance."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from renova import conf
from renova.clients.glance import Glance
from renova.clients.keystone import Identity
from renova.errors import ImageNotFound, ImageUnusable, Unauthenticated
from renova.image import HEAD_SIZE
from tests import sample_images
from tests.functional.shared_cloud import Cloud
from tests.sample_images import MIB


@pytest.fixture
async def glance(cloud: Cloud) -> AsyncIterator[Glance]:
    identity = Identity(conf.load([cloud.state.conf]))
    async with identity.http() as http:
        yield Glance(identity, http)


class Uploads:
    """Images of the member's, removed after the test."""

    def __init__(self, cloud: Cloud) -> None:
        self.ids: list[str] = []
        self.http = httpx.Client(
            base_url=f"{cloud.image_url}/v2", headers={"X-Auth-Token": cloud.token()}, timeout=30
        )

    def add(self, data: bytes, disk_format: str = "qcow2", **record: Any) -> str:
        facts = {"name": "test", "disk_format": disk_format, "container_format": "bare"} | record
        answer = self.http.post("/images", json=facts).raise_for_status()
        self.ids.append(answer.json()["id"])
        headers = {"Content-Type": "application/octet-stream"}
        self.http.put(f"/images/{self.ids[-1]}/file", content=data, headers=headers).raise_for_status()
        return self.ids[-1]

    def close(self) -> None:
        for image_id in self.ids:
            self.http.delete(f"/images/{image_id}").raise_for_status()
        self.http.close()


@pytest.fixture
def uploads(cloud: Cloud) -> Any:
    uploads = Uploads(cloud)
    yield uploads
    uploads.close()


async def test_an_image_as_it_was_uploaded(cloud: Cloud, glance: Glance, uploads: Uploads) -> None:
    data = sample_images.qcow2(64 * MIB)
    image_id = uploads.add(data, min_ram=64, min_disk=1, hw_qemu_guest_agent="yes")
    image = await glance.get_image(image_id, cloud.token())
    assert (image.status, image.size, image.min_ram, image.min_disk) == ("active", len(data), 64, 1)
    assert image.digest == "sha512:" + hashlib.sha512(data).hexdigest()
    assert image.properties.items() >= {"hw_qemu_guest_agent": "yes"}.items()
    assert not image.properties.keys() & {"size", "status", "checksum", "file", "os_hash_value", "tags"}
    assert (await glance.peek(image)).virtual_size == 64 * MIB


@pytest.mark.parametrize("size", [512, HEAD_SIZE, 3 * MIB])
async def test_the_bytes_are_read_whole_and_the_head_alone(
    cloud: Cloud, glance: Glance, uploads: Uploads, size: int
) -> None:
    data = sample_images.raw(size)
    image_id = uploads.add(data, "raw")
    async with glance.download(image_id) as chunks:
        assert b"".join([chunk async for chunk in chunks]) == data
    async with glance.download(image_id, first=HEAD_SIZE) as chunks:
        assert b"".join([chunk async for chunk in chunks]) == data[:HEAD_SIZE]
    assert (await glance.peek(await glance.get_image(image_id, cloud.token()))).virtual_size == size


async def test_a_hostile_image_that_glance_takes(cloud: Cloud, glance: Glance, uploads: Uploads) -> None:
    image_id = uploads.add(sample_images.qcow2(encryption=2))
    with pytest.raises(ImageUnusable, match="encrypted"):
        await glance.peek(await glance.get_image(image_id, cloud.token()))


async def test_what_is_not_there_and_who_may_not_ask(cloud: Cloud, glance: Glance, uploads: Uploads) -> None:
    for image_id in ("5f0b2b8e-0000-4000-8000-000000000001", "no uuid/at all"):
        with pytest.raises(ImageNotFound):
            await glance.get_image(image_id, cloud.token())
    image_id = uploads.add(sample_images.qcow2())
    with pytest.raises(Unauthenticated):
        await glance.get_image(image_id, "no token")


async def test_an_image_that_is_deleted_before_it_is_fetched(glance: Glance, uploads: Uploads) -> None:
    image_id = uploads.add(sample_images.qcow2())
    uploads.close()
    uploads.ids.clear()
    with pytest.raises(ImageNotFound):
        async with glance.download(image_id):
            pass
