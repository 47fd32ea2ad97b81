"""`POST /servers/{server_id}/action` with `createImage`: an image of a server's root disk, in Glance."""

from typing import Any

from renova.api.boot_images import least_ram
from renova.api.forms import Changed
from renova.api.microversions import Change
from renova.api.policies import SERVERS
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.snapshot import CreateImage
from renova.api.server_actions import PATH
from renova.api.servers import found
from renova.clients.glance import CORE
from renova.compute import generations, quotas, snapshots, transitions
from renova.compute.quotas import UNLIMITED, Limits
from renova.compute.states import TRANSITIONS
from renova.db.tables import Server
from renova.errors import Forbidden, Invalid, RenovaError

routes = Routes()

GIB = 1024**3
NO_QUOTA = Change("2.39", "no quota is asked about the metadata of createImage")
ID_IN_BODY = Change("2.45", "createImage answers the image's id in its body, no longer its URL in a header")
# What an image does not pass on to the images made from it, and what only Glance may set (Nova's
# NON_INHERITABLE_IMAGE_PROPERTIES and …_NAMESPACES).
_NOT_INHERITED = frozenset(
    (
        *("cache_in_nova", "bittorrent", "img_signature", "img_signature_hash_method"),
        *("img_signature_key_type", "img_signature_certificate_uuid"),
    )
)
_OF_GLANCE_ALONE = "os_glance"


@routes.action(
    PATH, "createImage", body=CreateImage, status=202, answer=Changed(ID_IN_BODY, None, {"image_id": str})
)
async def create_image(call: Call) -> Answer:
    asked = call.parse(CreateImage).create_image
    metadata = asked.metadata or {}
    if taken := sorted(metadata.keys() & CORE):
        raise Invalid(f"These are no properties of an image but its own fields: {', '.join(taken)}")
    async with call.transaction() as session:
        server = await found(call, session, SERVERS + "create_image")
        transitions.check(call.caller, server, TRANSITIONS["createImage"])
        generation = await generations.get_generation(session, server.id, server.generation)
        limits = await quotas.limits_of(session, Limits.of(call.parts.conf), call.caller.project_id)
    if call.version not in NO_QUOTA and UNLIMITED != limits.metadata_items < len(metadata):
        raise Forbidden("Image metadata limit exceeded")
    # Between two transactions: Glance may take its time, and a connection of the pool is not to wait for it.
    glance = call.parts.glance
    record = {
        "name": asked.name,
        "disk_format": "qcow2",
        "container_format": "bare",
        "min_disk": -(-(generation.virtual_size or 0) // GIB),
        "min_ram": await least_ram(call, server.image_id),
        **_properties(call, server, metadata),
    }
    image_id = await glance.create_image(record, call.token)
    try:
        async with call.transaction() as session:
            server = await found(call, session, SERVERS + "create_image")
            await snapshots.begin_snapshot(session, call.parts.jobs, call.caller, server, image_id)
    except RenovaError:
        await glance.request("DELETE", f"images/{image_id}", call.token)
        raise
    if call.version in ID_IN_BODY:
        return Answer({"image_id": image_id})
    return Answer(headers={"Location": f"{await glance.endpoint()}/v2/images/{image_id}"})


def _properties(call: Call, server: Server, metadata: dict[str, str]) -> dict[str, Any]:
    """Whose the image is and what it is like; the client's own metadata wins over all."""
    inherited = {
        name: value
        for name, value in server.image_properties.items()
        if name not in _NOT_INHERITED and not name.startswith(_OF_GLANCE_ALONE)
    }
    own = {
        "instance_uuid": server.id,
        "user_id": call.caller.user_id,
        "image_type": "snapshot",
        "base_image_ref": server.image_id,
        # An admin's image of somebody's server is one that its owner can be let see.
        "visibility": "private",
    }
    if call.caller.project_id != server.project_id:
        own |= {"visibility": "shared", "instance_owner": server.project_id}
    return inherited | own | metadata
