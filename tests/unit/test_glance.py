"""The client of Glance: whose token sees what, what a look at the bytes costs, what is said when it fails."""

import hashlib

import pytest

from renova.errors import ImageNotFound, ImageUnusable, Unauthenticated, Unavailable
from renova.image import HEAD_SIZE
from tests import sample_images
from tests.fake_glance import CALLER, FakeGlance
from tests.sample_images import MIB


@pytest.fixture
def glance() -> FakeGlance:
    return FakeGlance()


async def test_an_image_as_glance_describes_it(glance: FakeGlance) -> None:
    data = sample_images.qcow2()
    glance.add("img", data, name="debian", min_ram=512, min_disk=2, hw_disk_bus="virtio", os_distro="debian")
    image = await glance.client.get_image("img", CALLER)
    assert (image.id, image.name, image.status, image.size) == ("img", "debian", "active", len(data))
    assert (image.min_ram, image.min_disk, image.virtual_size) == (512, 2, None)
    assert image.digest == "sha512:" + hashlib.sha512(data).hexdigest()
    assert image.properties == {"hw_disk_bus": "virtio", "os_distro": "debian"}


async def test_an_image_from_before_the_multihash_goes_by_its_checksum(glance: FakeGlance) -> None:
    data = sample_images.raw()
    glance.add("img", data, os_hash_algo=None, os_hash_value=None)
    assert (await glance.client.get_image("img", CALLER)).digest == "md5:" + hashlib.md5(data).hexdigest()


async def test_a_hash_that_is_none_never_becomes_a_files_name(glance: FakeGlance) -> None:
    glance.add("img", sample_images.raw(), os_hash_value="/../../servers/s1/root-1", checksum=None)
    assert (await glance.client.get_image("img", CALLER)).digest == ""


async def test_an_image_without_data_is_described_all_the_same(glance: FakeGlance) -> None:
    nothing = dict.fromkeys(("size", "checksum", "os_hash_algo", "os_hash_value", "disk_format", "name"))
    glance.add("img", b"", status="queued", **nothing)
    image = await glance.client.get_image("img", CALLER)
    assert (image.status, image.size, image.digest, image.disk_format) == ("queued", 0, "", "")
    assert await glance.client.peek(image) == image


async def test_what_the_caller_may_not_see_does_not_exist(glance: FakeGlance) -> None:
    glance.add("img", sample_images.qcow2())
    glance.hidden.add("img")
    for image_id in ("img", "unknown", "../images/img"):
        with pytest.raises(ImageNotFound, match=r"Image .* could not be found\."):
            await glance.client.get_image(image_id, CALLER)


async def test_a_token_that_glance_refuses(glance: FakeGlance) -> None:
    glance.add("img", sample_images.qcow2())
    with pytest.raises(Unauthenticated):
        await glance.client.get_image("img", "stale")


async def test_glance_that_does_not_answer(glance: FakeGlance) -> None:
    glance.add("img", sample_images.qcow2())
    image = await glance.client.get_image("img", CALLER)
    glance.down = True
    with pytest.raises(Unavailable):
        await glance.client.get_image("img", CALLER)
    with pytest.raises(Unavailable):
        await glance.client.peek(image)


async def test_a_look_fetches_the_head_only_and_only_once(glance: FakeGlance) -> None:
    glance.add("img", sample_images.qcow2(64 * MIB) + bytes(8 * MIB))
    image = await glance.client.get_image("img", CALLER)
    for _ in range(2):
        assert (await glance.client.peek(image)).virtual_size == 64 * MIB
    assert glance.sent == [("img", HEAD_SIZE)]


async def test_a_store_that_knows_no_ranges_is_read_no_further_than_needed(glance: FakeGlance) -> None:
    glance.ranges = False
    glance.hold.clear()
    glance.add("img", sample_images.raw(4 * MIB), "raw")
    image = await glance.client.get_image("img", CALLER)
    assert (await glance.client.peek(image)).virtual_size == 4 * MIB


async def test_a_hostile_image_is_refused_at_every_look(glance: FakeGlance) -> None:
    glance.add("img", sample_images.qcow2(backing=b"/etc/shadow"))
    image = await glance.client.get_image("img", CALLER)
    for _ in range(2):
        with pytest.raises(ImageUnusable, match=r"Image img is unacceptable: .*backing_file"):
            await glance.client.peek(image)


async def test_one_image_does_not_answer_for_another_that_claims_its_hash(glance: FakeGlance) -> None:
    honest = glance.add("honest", sample_images.qcow2())
    claim = {"os_hash_value": honest["os_hash_value"]}
    glance.add("hostile", sample_images.qcow2(backing=b"/etc/shadow"), **claim)
    with pytest.raises(ImageUnusable):
        await glance.client.peek(await glance.client.get_image("hostile", CALLER))
    assert await glance.client.peek(await glance.client.get_image("honest", CALLER))


async def test_a_service_token_that_is_refused_is_renewed(glance: FakeGlance) -> None:
    glance.add("img", b"content of the image")
    glance.identity.current = "revoked"
    async with glance.client.download("img") as chunks:
        assert b"".join([chunk async for chunk in chunks]) == b"content of the image"
