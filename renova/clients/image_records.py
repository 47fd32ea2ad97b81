"""Images as Glance lists and keeps them, in the name of whoever asks: what Nova's old image calls pass on.

Source: Glance's API reference, v2, "Images".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
from httpx import codes

from renova.clients.glance import CORE, Glance
from renova.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable

_PATCH = "application/openstack-images-v2.1-json-patch"


class NoSuchImage(NotFound):
    """Image not found."""


@dataclass(frozen=True)
class ImageRecord:
    """An image as its owner sees it. `min_ram`: MiB, `min_disk`: GiB, `size`: bytes, times: text."""

    id: str
    name: str | None
    status: str
    min_ram: int
    min_disk: int
    size: int
    created_at: str
    updated_at: str
    properties: dict[str, str]


async def list_images(
    glance: Glance, token: str, filters: Mapping[str, str], *, limit: int, marker: str | None
) -> list[ImageRecord]:
    """In Glance's order. Raises Invalid for filters and markers that Glance refuses."""
    found: list[ImageRecord] = []
    query = {**filters, "limit": str(limit)} | ({} if marker is None else {"marker": marker})
    while True:
        response = await glance.request("GET", "images", token, params=query)
        if response.status_code in {codes.BAD_REQUEST, codes.NOT_FOUND}:
            raise Invalid("The image service refuses this marker or one of these filters.")
        answer = _content(response)
        found += [_record_of(image) for image in answer["images"]]
        # A page of Glance's may be shorter than ours.
        if len(found) >= limit or "next" not in answer:
            return found[:limit]
        query = dict(parse_qsl(urlsplit(answer["next"]).query))


async def find_image(glance: Glance, token: str, image_id: str) -> ImageRecord:
    """Raises NoSuchImage, also for one that the caller may not see."""
    return _record_of(_content(await glance.request("GET", _path(image_id), token)))


async def delete_image(glance: Glance, token: str, image_id: str) -> None:
    """Raises NoSuchImage, Forbidden, and Conflict where it is in use."""
    response = await glance.request("DELETE", _path(image_id), token)
    if response.status_code == codes.FORBIDDEN:
        raise Forbidden("You are not allowed to delete the image.")
    _check(response)


async def set_properties(glance: Glance, token: str, image: ImageRecord, wanted: dict[str, str]) -> None:
    """Make `wanted` all the properties of the image. Raises Forbidden, Invalid, NoSuchImage.

    A property that has the name of a field would change the image itself, so it is refused.
    """
    for name in wanted:
        if name in CORE:
            raise Invalid(f"'{name}' is a field of an image, not a property.")
    changes: list[dict[str, str]] = [
        {"op": "add", "path": _pointer(name), "value": value}
        for name, value in wanted.items()
        if image.properties.get(name) != value
    ]
    changes += [{"op": "remove", "path": _pointer(name)} for name in image.properties.keys() - wanted.keys()]
    if not changes:
        return
    response = await glance.request(
        "PATCH", _path(image.id), token, json=changes, headers={"Content-Type": _PATCH}
    )
    if response.status_code == codes.BAD_REQUEST:
        raise Invalid("The image service refuses these properties.")
    _check(response)


def _path(image_id: str) -> str:
    return f"images/{quote(image_id, safe='')}"


def _pointer(name: str) -> str:
    """RFC 6901."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _check(response: httpx.Response) -> None:
    if response.status_code == codes.NOT_FOUND:
        raise NoSuchImage
    if response.status_code == codes.FORBIDDEN:
        raise Forbidden("You are not allowed to change the image.")
    if response.status_code == codes.CONFLICT:
        raise Conflict("The image is in use.")
    if not response.is_success:
        raise Unavailable("The image service can't answer now.")


def _content(response: httpx.Response) -> Any:
    _check(response)
    return response.json()


def _record_of(answer: dict[str, Any]) -> ImageRecord:
    return ImageRecord(
        id=answer["id"],
        name=answer.get("name"),
        status=answer["status"],
        min_ram=answer.get("min_ram") or 0,
        min_disk=answer.get("min_disk") or 0,
        size=answer.get("size") or 0,
        created_at=answer["created_at"],
        updated_at=answer["updated_at"],
        properties={
            name: str(value) for name, value in answer.items() if name not in CORE and value is not None
        },
    )
