"""An image: what Glance says of it, and what its own first bytes say.

Glance's word on the format is never enough (CVE-2024-32498, CVE-2024-40767: an image's header names a file of
the host). The API looks at the head of an image before it accepts a request, the agent before it uses it.
"""

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from oslo_utils.imageutils import format_inspector

from renova.errors import ImageUnacceptable

# The farthest that an inspector looks before it can say "not mine": the region table of a VHDX.
HEAD_SIZE = 256 * 1024

# disk_format -> what the inspector may call the content. It calls whatever begins with a boot sector "gpt".
FORMATS = {"raw": {"raw", "gpt"}, "qcow2": {"qcow2"}}


@dataclass(frozen=True)
class Image:
    """An image as Glance describes it. `size` and `virtual_size`: bytes, `min_ram`: MiB, `min_disk`: GiB.

    `digest` is "<algorithm>:<hex>" of the bytes. An image without data yet has size 0 and digest "".
    `virtual_size` is None where Glance does not know it. `properties` is everything that is not a field of
    Glance's own schema (hw_disk_bus, os_distro, …).
    """

    id: str
    name: str
    status: str
    disk_format: str
    container_format: str
    size: int
    virtual_size: int | None
    min_ram: int
    min_disk: int
    digest: str
    visibility: str
    owner: str
    properties: dict[str, str] = field(default_factory=dict)


def promises_agent(properties: Mapping[str, str]) -> bool:
    """Whether an image with these properties says that its guest runs the QEMU guest agent."""
    return properties.get("hw_qemu_guest_agent", "").lower() in {"yes", "true", "1", "on"}


def inspect_head(image_id: str, head: bytes, *, disk_format: str, size: int) -> int:
    """The size in bytes of the disk that a guest will see, by an image's first HEAD_SIZE bytes.

    `size` is that of the whole file. Raises ImageUnacceptable where the content is not what `disk_format`
    says, could make QEMU open another file (backing file, data file), or is of no use (encrypted, cut off).
    """
    mismatch = ImageUnacceptable(image_id, "Image content does not match disk_format")
    try:
        inspector = _inspector_of(head)
        if inspector is None or str(inspector) not in FORMATS.get(disk_format, ()):
            raise mismatch
        if disk_format == "raw":
            # What a raw disk holds can't make QEMU do anything; its partition table is the guest's affair.
            return size
        inspector.safety_check()
    except format_inspector.ImageFormatError as error:
        raise mismatch from error
    except format_inspector.SafetyCheckFailed as error:
        failures = ", ".join(sorted(error.failures))
        raise ImageUnacceptable(image_id, f"Image does not pass safety check ({failures})") from error
    flaw = _flaw_of_qcow2(head, size)
    if flaw is not None:
        raise ImageUnacceptable(image_id, flaw)
    return int(inspector.virtual_size)


def _inspector_of(head: bytes) -> format_inspector.FileInspector | None:
    """Which format the content has. Raises ImageFormatError where it has several: one hides the other."""
    stream = format_inspector.InspectWrapper(io.BytesIO(head))
    stream.read(HEAD_SIZE)
    stream.close()
    return stream.format


def _flaw_of_qcow2(head: bytes, size: int) -> str | None:
    """What the inspector does not look at. Source: QEMU, docs/interop/qcow2.txt, "Header"."""
    cluster_bits, virtual_size, encryption, l1_entries, l1_start, refcounts_start, refcount_clusters = (
        struct.unpack(">IQIIQQI", head[20:60])
    )
    if encryption:
        return "Image is encrypted"
    if not virtual_size:
        return "Image has a virtual size of zero"
    if not 9 <= cluster_bits <= 21:
        return "Image has an invalid cluster size"
    # QEMU reads zeros behind the end of a file: a cut image would boot as an empty disk.
    if size < max(l1_start + 8 * l1_entries, refcounts_start + (refcount_clusters << cluster_bits)):
        return "Image is cut off before its tables"
    return None
