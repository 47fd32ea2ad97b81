"""`/servers/{server_id}/os-volume_attachments` of a cloud without a volume service.

No server has a volume, and no volume is to be found.
"""

from renova.api.forms import NEVER
from renova.api.microversions import Version
from renova.api.policies import VOLUME_ATTACHMENTS
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.server_volumes import AttachVolume, ListAttachments, UpdateAttachment
from renova.api.servers import found
from renova.errors import NotFound

routes = Routes()

ALL = "/servers/{server_id}/os-volume_attachments"
ONE = ALL + "/{volume_id}"
_UPDATE = Version(2, 85)  # Until then PUT was only for a volume service that moves a volume.


class VolumeNotFound(NotFound):
    def __init__(self, volume_id: str) -> None:
        super().__init__(f"Volume {volume_id} could not be found.")


class NotAttached(NotFound):
    def __init__(self, server_id: str, volume_id: str) -> None:
        super().__init__(f"Instance {server_id} is not attached to volume {volume_id}")


@routes.on("GET", ALL, query=ListAttachments, answer={"volumeAttachments": list[dict[str, str]]})
async def index(call: Call) -> Answer:
    async with call.reading() as session:
        await found(call, session, VOLUME_ATTACHMENTS + "index")
    return Answer({"volumeAttachments": []})


@routes.on("GET", ONE, status=NEVER)
async def show(call: Call) -> Answer:
    async with call.reading() as session:
        server = await found(call, session, VOLUME_ATTACHMENTS + "show")
    raise NotAttached(server.id, call.path["volume_id"])


@routes.on("POST", ALL, body=AttachVolume, status=NEVER)
async def attach(call: Call) -> Answer:
    volume_id = call.parse(AttachVolume).attachment.volume_id
    async with call.transaction() as session:
        await found(call, session, VOLUME_ATTACHMENTS + "create")
    raise VolumeNotFound(volume_id)


@routes.on("PUT", ONE, body=UpdateAttachment, status=NEVER)
async def update(call: Call) -> Answer:
    wanted, volume_id = call.parse(UpdateAttachment).attachment.volume_id, call.path["volume_id"]
    swaps = call.version < _UPDATE or wanted != volume_id
    async with call.transaction() as session:
        server = await found(call, session, VOLUME_ATTACHMENTS + ("swap" if swaps else "update"))
    if call.version < _UPDATE:
        raise VolumeNotFound(volume_id)
    raise NotAttached(server.id, volume_id)


@routes.on("DELETE", ONE, status=NEVER)
async def detach(call: Call) -> Answer:
    async with call.transaction() as session:
        await found(call, session, VOLUME_ATTACHMENTS + "delete")
    raise VolumeNotFound(call.path["volume_id"])
