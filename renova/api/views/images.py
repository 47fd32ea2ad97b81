"""What a client sees of images through Nova. Source: Nova's API reference, "Images"."""

from typing import Annotated, Any, Self

from oslo_utils import strutils
from pydantic import Field

from renova.api.marked import View
from renova.api.views.links import Links
from renova.clients.image_records import ImageRecord

_STATUS = {
    "active": "ACTIVE",
    "queued": "SAVING",
    "saving": "SAVING",
    "deleted": "DELETED",
    "pending_delete": "DELETED",
    "killed": "ERROR",
}
_PROGRESS = {"queued": 25, "saving": 50, "active": 100}
_DISK_CONFIG = "auto_disk_config"


class ImageBrief(View):
    """An entry of GET /images. The third link leads to Glance."""

    id: str
    name: str | None
    links: list[dict[str, str]]

    @classmethod
    def of(cls, image: ImageRecord, links: Links, glance: str) -> Self:
        return cls(**cls._facts(image, links, glance))

    @staticmethod
    def _facts(image: ImageRecord, links: Links, glance: str) -> dict[str, Any]:
        alternate = {
            "rel": "alternate",
            "type": "application/vnd.openstack.image",
            "href": f"{glance}/images/{image.id}",
        }
        return {"id": image.id, "name": image.name, "links": [*links.of("images", image.id), alternate]}


class ImageView(ImageBrief):
    """One image. `server` is there for a snapshot, `OS-DCF:diskConfig` where a property says it."""

    status: str
    progress: int
    min_ram: Annotated[int, Field(alias="minRam")]
    min_disk: Annotated[int, Field(alias="minDisk")]
    size: Annotated[int, Field(alias="OS-EXT-IMG-SIZE:size")]
    created: str
    updated: str
    metadata: dict[str, str]
    server: dict[str, Any] | None = None
    disk_config: Annotated[str, Field(alias="OS-DCF:diskConfig")] = ""

    @staticmethod
    def _facts(image: ImageRecord, links: Links, glance: str) -> dict[str, Any]:
        facts = ImageBrief._facts(image, links, glance) | {
            "status": _STATUS.get(image.status, "UNKNOWN"),
            "progress": _PROGRESS.get(image.status, 0),
            "min_ram": image.min_ram,
            "min_disk": image.min_disk,
            "size": image.size,
            "created": image.created_at,
            "updated": image.updated_at,
            "metadata": image.properties,
        }
        server_id = image.properties.get("instance_uuid")
        if server_id is not None:
            facts["server"] = {"id": server_id, "links": links.of("servers", server_id)}
        if _DISK_CONFIG in image.properties:
            automatic = strutils.bool_from_string(image.properties[_DISK_CONFIG])
            facts["disk_config"] = "AUTO" if automatic else "MANUAL"
        return facts
