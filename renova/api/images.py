"""Images through Nova, up to microversion 2.35; their metadata up to 2.38. Then clients go to Glance.

Everything is asked of Glance with the caller's own token, and what Glance lets them do is what they may do.
Source: Nova's API reference, "Images" and "Image metadata".
"""

from renova.api.errors import NotFound
from renova.api.forms import NEXT
from renova.api.microversions import until
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.images import ListImages
from renova.api.schemas.server_metadata import MetadataItem, WholeMetadata
from renova.api.schemas.types import last_part
from renova.api.views.images import ImageBrief, ImageView
from renova.clients import image_records
from renova.clients.image_records import ImageRecord
from renova.compute.quotas import UNLIMITED, Limits, limits_of
from renova.errors import Forbidden, Invalid

routes = Routes()

IMAGES, METADATA = until("2.35"), until("2.38")
ONE = "/images/{image_id}"
ALL_OF_ONE, ITEM = ONE + "/metadata", ONE + "/metadata/{key}"
WHOLE, META = {"metadata": dict[str, str]}, {"meta": dict[str, str]}


@routes.on("GET", "/images", IMAGES, query=ListImages, answer={"images": [ImageBrief], "images_links": NEXT})
async def index(call: Call) -> Answer:
    return await _list(call, ImageBrief, "images")


@routes.on(
    "GET", "/images/detail", IMAGES, query=ListImages, answer={"images": [ImageView], "images_links": NEXT}
)
async def detail(call: Call) -> Answer:
    return await _list(call, ImageView, "images/detail")


@routes.on("GET", ONE, IMAGES, answer={"image": ImageView})
async def show(call: Call) -> Answer:
    image = await _found(call)
    return Answer({"image": ImageView.of(image, call.links, await call.parts.glance.endpoint())})


@routes.on("DELETE", ONE, IMAGES, status=204)
async def delete(call: Call) -> Answer:
    await image_records.delete_image(call.parts.glance, call.token, call.path["image_id"])
    return Answer()


@routes.on("GET", ALL_OF_ONE, METADATA, answer=WHOLE)
async def list_metadata(call: Call) -> Answer:
    return Answer({"metadata": (await _found(call)).properties})


@routes.on("POST", ALL_OF_ONE, METADATA, body=WholeMetadata, answer=WHOLE)
async def add_metadata(call: Call) -> Answer:
    sent = call.parse(WholeMetadata).metadata
    image = await _found(call)
    return Answer({"metadata": await _write(call, image, image.properties | sent)})


@routes.on("PUT", ALL_OF_ONE, METADATA, body=WholeMetadata, answer=WHOLE)
async def replace_metadata(call: Call) -> Answer:
    sent = call.parse(WholeMetadata).metadata
    return Answer({"metadata": await _write(call, await _found(call), sent)})


@routes.on("GET", ITEM, METADATA, answer=META)
async def show_metadata(call: Call) -> Answer:
    key, properties = call.path["key"], (await _found(call)).properties
    if key not in properties:
        raise NotFound
    return Answer({"meta": {key: properties[key]}})


@routes.on("PUT", ITEM, METADATA, body=MetadataItem, answer=META)
async def set_metadata(call: Call) -> Answer:
    sent = call.parse(MetadataItem).meta
    if call.path["key"] not in sent:
        raise Invalid("Request body and URI mismatch")
    image = await _found(call)
    await _write(call, image, image.properties | sent)
    return Answer({"meta": sent})


@routes.on("DELETE", ITEM, METADATA, status=204)
async def delete_metadata(call: Call) -> Answer:
    key, image = call.path["key"], await _found(call)
    if key not in image.properties:
        raise NotFound("Invalid metadata key")
    left = {name: value for name, value in image.properties.items() if name != key}
    await image_records.set_properties(call.parts.glance, call.token, image, left)
    return Answer()


async def _found(call: Call) -> ImageRecord:
    return await image_records.find_image(call.parts.glance, call.token, call.path["image_id"])


async def _write(call: Call, image: ImageRecord, wanted: dict[str, str]) -> dict[str, str]:
    """Make `wanted` all the properties of the image, as many as the quota on metadata allows."""
    async with call.transaction() as session:
        limits = await limits_of(session, Limits.of(call.parts.conf), call.caller.project_id)
    if UNLIMITED != limits.metadata_items < len(wanted):
        raise Forbidden("Image metadata limit exceeded")
    await image_records.set_properties(call.parts.glance, call.token, image, wanted)
    return wanted


async def _list(call: Call, view: type[ImageBrief], collection: str) -> Answer:
    query = call.query(ListImages)
    page = call.page(query)
    glance = call.parts.glance
    limit = page.limit or call.parts.conf.api.max_limit
    images = await image_records.list_images(
        glance, call.token, _filters(call, query), limit=limit, marker=page.marker
    )
    endpoint = await glance.endpoint()
    return Answer(
        {
            "images": [view.of(image, call.links, endpoint) for image in images],
            **call.next_links(collection, page, [image.id for image in images]),
        }
    )


def _filters(call: Call, query: ListImages) -> dict[str, str]:
    """Nova's filters under the names that Glance gives them."""
    filters = {
        name.removeprefix("property-"): value
        for name, value in call.query_items
        if name.startswith("property-")
    }
    named: dict[str, str | int | None] = {
        "name": query.name,
        "status": query.status and query.status.lower(),
        "updated_at": query.changes_since and f"gte:{query.changes_since}",
        "instance_uuid": query.server and last_part(query.server),
        "image_type": query.type,
        "min_ram": query.min_ram,
        "min_disk": query.min_disk,
    }
    return filters | {name: str(value) for name, value in named.items() if value is not None}
