"""What an image's own bytes say: the door that CVE-2024-32498 came through."""

import pytest

from renova.errors import ImageUnusable
from renova.image import HEAD_SIZE, inspect_head
from tests import sample_images
from tests.sample_images import MIB


def look(data: bytes, disk_format: str) -> int:
    return inspect_head("img", data[:HEAD_SIZE], disk_format=disk_format, size=len(data))


def test_honest_images_have_the_size_that_a_guest_sees() -> None:
    assert look(sample_images.qcow2(64 * MIB), "qcow2") == 64 * MIB
    assert look(sample_images.qcow2(64 * MIB, version=2), "qcow2") == 64 * MIB
    assert look(sample_images.raw(3 * MIB), "raw") == 3 * MIB
    assert look(sample_images.raw(512), "raw") == 512
    assert look(sample_images.raw(partitioned=False), "raw") == MIB
    assert look(bytes(MIB), "raw") == MIB


@pytest.mark.parametrize(
    ("data", "claim"),
    [
        pytest.param(sample_images.vmdk(), "qcow2", id="vmdk as qcow2"),
        pytest.param(sample_images.vmdk(), "raw", id="vmdk as raw"),
        pytest.param(sample_images.qcow2(), "raw", id="qcow2 as raw"),
        pytest.param(sample_images.raw(), "qcow2", id="raw as qcow2"),
        pytest.param(sample_images.qcow2(size=300), "qcow2", id="qcow2 cut in its header"),
        pytest.param(b"", "qcow2", id="nothing as qcow2"),
        pytest.param(sample_images.qcow2(), "vmdk", id="a format that is not ours"),
    ],
)
def test_content_that_is_not_what_it_claims_is_refused(data: bytes, claim: str) -> None:
    with pytest.raises(ImageUnusable) as refusal:
        look(data, claim)
    assert refusal.value.message == "Image img is unacceptable: Image content does not match disk_format"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (sample_images.qcow2(backing=b"/etc/shadow"), "backing_file"),
        (sample_images.qcow2(incompatible=1 << 2), "data_file"),
        (sample_images.qcow2(incompatible=1 << 20), "unknown_features"),
        (sample_images.qcow2(version=4), "unknown_features"),
        (sample_images.qcow2(encryption=2), "encrypted"),
        (sample_images.qcow2(virtual_size=0), "virtual size of zero"),
        (sample_images.qcow2(size=sample_images.MIB // 8), "cut off"),
    ],
)
def test_qcow2_that_would_open_another_file_or_is_of_no_use_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ImageUnusable, match=reason):
        look(data, "qcow2")


def test_two_formats_in_one_file_are_refused() -> None:
    disk = bytearray(sample_images.qcow2())
    disk[32 * 1024 + 1 : 32 * 1024 + 6] = b"CD001"
    with pytest.raises(ImageUnusable, match="does not match disk_format"):
        look(bytes(disk), "qcow2")
