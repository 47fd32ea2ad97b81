"""The bodies of the calls on a server's volumes. Source: Nova's API reference, "Servers with volume
attachments", and its JSON schemas.
"""

from typing import Annotated

from pydantic import Field

from renova.api.marked import Query, Request
from renova.api.microversions import since
from renova.api.schemas.sent import Sent
from renova.api.schemas.servers import Tag
from renova.api.schemas.types import Boolean, NonNegativeInteger, Uuid

Device = Annotated[str, Field(pattern="(^/dev/x{0,1}[a-z]{0,1}d{0,1})([a-z]+)[0-9]*$")] | None


class NewAttachment(Request):
    volume_id: Annotated[Uuid, Field(alias="volumeId")]
    device: Device = None
    tag: Annotated[Sent[Tag], since("2.49")] = None
    delete_on_termination: Annotated[Boolean, since("2.79")] = False


class AttachVolume(Request):
    attachment: Annotated[NewAttachment, Field(alias="volumeAttachment")]


class ChangedAttachment(Request):
    """Up to 2.84 a volume takes the place of another; from then on one may be sent as it is told."""

    volume_id: Annotated[Uuid, Field(alias="volumeId")]
    device: Annotated[Device, since("2.85")] = None
    tag: Annotated[Sent[Tag], since("2.85")] = None
    delete_on_termination: Annotated[Boolean, since("2.85")] = False
    server_id: Annotated[Sent[Uuid], Field(alias="serverId"), since("2.85")] = None
    id: Annotated[Sent[Uuid], since("2.85")] = None


class UpdateAttachment(Request):
    attachment: Annotated[ChangedAttachment, Field(alias="volumeAttachment")]


class ListAttachments(Query):
    limit: Sent[NonNegativeInteger] = None
    offset: Sent[NonNegativeInteger] = None
