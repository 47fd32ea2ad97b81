"""What a server may be made from or rebuilt to: all reasons against an image, in Nova's words if it has some.

Sources: `_validate_flavor_image` in Nova's compute API, its image properties filter, and its page "Useful
image properties" for what a property asks of the machine.
"""

from renova.errors import ImageUnacceptable, ImageUnusable
from renova.image import FORMATS, Image

GIB = 1024**3

# property -> the values that ask for the machine that every server here has anyway. Any other value asks for
# one that can't be given: the guest might not find its disk, or lack what its owner relies on. What is not in
# the table (hw_video_model, os_distro, …) does not decide whether the guest runs; it is ignored, as in Nova.
MACHINE: dict[str, frozenset[str]] = {
    name: frozenset(values)
    for name, values in {
        "hw_machine_type": ["q35"],
        "hw_firmware_type": ["bios"],
        "os_secure_boot": ["disabled", "optional"],
        "hw_disk_bus": ["virtio"],
        "hw_vif_model": ["virtio"],
        "hw_vm_mode": ["hvm"],
        "vm_mode": ["hvm"],
        "img_hv_type": ["qemu", "kvm"],
        "hypervisor_type": ["qemu", "kvm"],
        "hw_emulation_architecture": [],
        "hw_cpu_policy": ["shared"],
        "hw_mem_page_size": ["any", "small"],
        "hw_mem_encryption": ["false", "no", "0"],
        "hw_ephemeral_encryption": ["false", "no", "0"],
        "hw_numa_nodes": ["1"],
        "hw_tpm_model": [],
        "hw_tpm_version": [],
        "hw_viommu_model": [],
    }.items()
}
# architecture of a host, as `uname -m` says it -> those of the guests that it runs.
GUESTS = {
    "x86_64": {"x86_64", "amd64", "i686", "i586", "i486", "i386"},
    "aarch64": {"aarch64", "arm64"},
}


def check(image: Image, *, ram: int, disk: int, architecture: str) -> None:
    """Raise the first of `reasons_against`, an ImageUnusable."""
    for reason in reasons_against(image, ram=ram, disk=disk, architecture=architecture):
        raise reason


def reasons_against(image: Image, *, ram: int, disk: int, architecture: str) -> list[ImageUnusable]:
    """Why a server with `ram` MiB and a root disk of `disk` GiB (0: as large as the image) can't run it.

    `architecture` is the host's, as `uname -m` says it. `image` should come from `Glance.peek`, so that its
    virtual size is the real one.
    """
    return [*_of_state(image), *_of_size(image, ram, disk * GIB), *_of_machine(image, architecture)]


def _of_state(image: Image) -> list[ImageUnusable]:
    if image.status != "active":
        # Whatever else is missing then is a consequence.
        return [ImageUnusable(f"Image {image.id} is not active.")]
    reasons = []
    if image.disk_format not in FORMATS:
        reasons.append(f"Image not in a supported format (disk_format {image.disk_format})")
    if image.container_format != "bare":
        reasons.append(f"Image not in a supported format (container_format {image.container_format})")
    if not image.size:
        reasons.append("Image has no data")
    elif not image.digest:
        reasons.append("Image has no hash")
    return [ImageUnacceptable(image.id, reason) for reason in reasons]


def _of_size(image: Image, ram: int, disk: int) -> list[ImageUnusable]:
    reasons = []
    if image.min_ram > ram:
        reasons.append("Flavor's memory is too small for requested image.")
    needed = max(image.size, image.virtual_size or 0)
    if disk and needed > disk:
        reasons.append(
            "Flavor's disk is too small for requested image. "
            f"Flavor disk is {disk} bytes, image is {needed} bytes."
        )
    if disk and image.min_disk * GIB > disk:
        reasons.append(
            "Flavor's disk is smaller than the minimum size specified in image metadata. "
            f"Flavor disk is {disk} bytes, minimum size is {image.min_disk * GIB} bytes."
        )
    return [ImageUnusable(reason) for reason in reasons]


def _of_machine(image: Image, architecture: str) -> list[ImageUnusable]:
    reasons = []
    for name in ("architecture", "hw_architecture"):
        wanted = image.properties.get(name, architecture)
        if wanted.lower() not in GUESTS.get(architecture, {architecture}):
            reasons.append(f"{name}={wanted} does not run on a host of architecture {architecture}")
    if not {image.properties.get(name, "") for name in ("kernel_id", "ramdisk_id")} <= {"", "nokernel"}:
        reasons.append("Booting with a kernel from outside the disk (kernel_id, ramdisk_id) is not supported")
    if "cinder_encryption_key_id" in image.properties:
        reasons.append("Direct booting of an image uploaded from an encrypted volume is unsupported.")
    for name, accepted in MACHINE.items():
        value = image.properties.get(name)
        if value is not None and value.lower() not in accepted:
            reasons.append(f"{name}={value} is not supported")
    unusable: list[ImageUnusable] = [ImageUnacceptable(image.id, reason) for reason in reasons]
    drive = image.properties.get("img_config_drive", "optional")
    if drive not in {"optional", "mandatory"}:
        unusable.append(ImageUnusable(f"Image's config drive option '{drive}' is invalid"))
    return unusable
