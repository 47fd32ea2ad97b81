"""What is refused about an image before anything is touched, in Nova's words."""

from typing import Any

import pytest

from renova.compute.image_checks import GIB, MACHINE, check, reasons_against
from renova.errors import ImageUnusable
from renova.image import Image


def image(**changes: Any) -> Image:
    facts: dict[str, Any] = {
        "id": "img",
        "name": "debian",
        "status": "active",
        "disk_format": "qcow2",
        "container_format": "bare",
        "size": 1000,
        "virtual_size": GIB,
        "min_ram": 0,
        "min_disk": 0,
        "digest": "sha512:abc",
        "visibility": "public",
        "owner": "project",
    }
    return Image(**facts | changes)


def reasons(*, ram: int = 512, disk: int = 1, **changes: Any) -> list[str]:
    return [r.message for r in reasons_against(image(**changes), ram=ram, disk=disk, architecture="x86_64")]


def test_a_plain_image_that_fits_is_accepted() -> None:
    assert reasons() == []
    assert reasons(min_ram=512, min_disk=1) == []
    assert reasons(disk_format="raw") == []


@pytest.mark.parametrize(
    "status", ["queued", "saving", "importing", "deactivated", "pending_delete", "killed"]
)
def test_only_an_active_image_and_nothing_else_is_said(status: str) -> None:
    assert reasons(status=status, size=0, digest="", disk_format="") == ["Image img is not active."]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"disk_format": "vmdk"},
            "Image img is unacceptable: Image not in a supported format (disk_format vmdk)",
        ),
        (
            {"disk_format": "iso"},
            "Image img is unacceptable: Image not in a supported format (disk_format iso)",
        ),
        (
            {"container_format": "ova"},
            "Image img is unacceptable: Image not in a supported format (container_format ova)",
        ),
        ({"size": 0}, "Image img is unacceptable: Image has no data"),
        ({"digest": ""}, "Image img is unacceptable: Image has no hash"),
        ({"min_ram": 513}, "Flavor's memory is too small for requested image."),
        (
            {"virtual_size": GIB + 1},
            "Flavor's disk is too small for requested image. "
            "Flavor disk is 1073741824 bytes, image is 1073741825 bytes.",
        ),
        (
            {"size": GIB + 1, "virtual_size": None},
            "Flavor's disk is too small for requested image. "
            "Flavor disk is 1073741824 bytes, image is 1073741825 bytes.",
        ),
        (
            {"min_disk": 2},
            "Flavor's disk is smaller than the minimum size specified in image metadata. "
            "Flavor disk is 1073741824 bytes, minimum size is 2147483648 bytes.",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_novas_words(changes: dict[str, Any], sentence: str) -> None:
    assert reasons(**changes) == [sentence]


def test_a_flavor_without_a_disk_takes_any_image() -> None:
    assert reasons(disk=0, virtual_size=500 * GIB, min_disk=500) == []


@pytest.mark.parametrize("name", ["architecture", "hw_architecture"])
def test_architecture(name: str) -> None:
    for runs in ("x86_64", "AMD64", "i686"):
        assert reasons(properties={name: runs}) == []
    assert "aarch64" in reasons(properties={name: "aarch64"})[0]


@pytest.mark.parametrize("name", MACHINE)
def test_a_property_that_asks_for_another_machine_is_refused(name: str) -> None:
    assert reasons(properties={name: "something-else"}) == [
        f"Image img is unacceptable: {name}=something-else is not supported"
    ]
    for accepted in MACHINE[name]:
        assert reasons(properties={name: accepted.upper()}) == []


@pytest.mark.parametrize(
    "properties",
    [
        {"hw_qemu_guest_agent": "yes"},
        {"hw_video_model": "qxl", "hw_rng_model": "virtio", "hw_cdrom_bus": "sata"},
        {"os_distro": "debian", "owner_specified.openstack.md5": "x", "anything": "at all"},
        {"kernel_id": "nokernel", "ramdisk_id": ""},
        {"img_config_drive": "mandatory"},
    ],
)
def test_what_does_not_decide_whether_the_guest_runs_is_accepted(properties: dict[str, str]) -> None:
    assert reasons(properties=properties) == []


@pytest.mark.parametrize(
    ("properties", "part"),
    [
        ({"kernel_id": "c4d5"}, "kernel_id"),
        ({"ramdisk_id": "c4d5"}, "ramdisk_id"),
        ({"cinder_encryption_key_id": "k"}, "uploaded from an encrypted volume is unsupported"),
        ({"img_config_drive": "maybe"}, "Image's config drive option 'maybe' is invalid"),
    ],
)
def test_images_that_are_no_bootable_disk_by_themselves(properties: dict[str, str], part: str) -> None:
    (reason,) = reasons(properties=properties)
    assert part in reason


def test_every_reason_is_told_and_the_first_is_raised() -> None:
    unfit = image(min_ram=4096, min_disk=50, properties={"hw_disk_bus": "ide", "architecture": "ppc64"})
    every = reasons_against(unfit, ram=512, disk=1, architecture="x86_64")
    assert len(every) == 4
    with pytest.raises(ImageUnusable, match="memory is too small") as raised:
        check(unfit, ram=512, disk=1, architecture="x86_64")
    assert raised.value.code == 400
