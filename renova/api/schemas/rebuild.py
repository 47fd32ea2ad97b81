"""What a client sends to rebuild a server, at each microversion and under each profile.

Sources: Nova's API reference, "Rebuild Server", and its JSON schemas; the seed page, Table 3.
"""

from typing import Annotated

from pydantic import BeforeValidator, Field

from renova.api.marked import Request
from renova.api.microversions import since, until
from renova.api.schemas.sent import Sent
from renova.api.schemas.servers import DiskConfig, File, Named
from renova.api.schemas.types import (
    Base64,
    Boolean,
    Description,
    Ipv4,
    Ipv6,
    Metadata,
    Name,
    TrustedCertificates,
    Uuid,
    last_part,
)


class Rebuild(Named):
    """Absence keeps what the server has. `null` clears description, key_name, user_data and
    trusted_image_certificates, and no other.
    """

    image_ref: Annotated[Uuid, Field(alias="imageRef")]
    name: Sent[Name] = None
    admin_pass: Annotated[Sent[str], Field(alias="adminPass")] = None
    metadata: Sent[Metadata] = None
    preserve_ephemeral: Sent[Boolean] = None
    disk_config: Annotated[Sent[DiskConfig], Field(alias="OS-DCF:diskConfig")] = None
    access_ip_v4: Annotated[Sent[Ipv4], Field(alias="accessIPv4")] = None
    access_ip_v6: Annotated[Sent[Ipv6], Field(alias="accessIPv6")] = None
    personality: Annotated[Sent[list[File]], until("2.56")] = None
    description: Annotated[Description, since("2.19")] = None
    # Nova does not hold this one to the form of names: an unknown key is what refuses it.
    key_name: Annotated[Annotated[str, Field(min_length=1, max_length=255)] | None, since("2.54")] = None
    user_data: Annotated[Annotated[Base64, Field(max_length=65535)] | None, since("2.57")] = None
    trusted_image_certificates: Annotated[TrustedCertificates, since("2.63")] = None


def _image_id_of_url(reference: object) -> object:
    """The seed page allows an image's URL, as Glance's bookmarks are; its last part is the id."""
    return last_part(reference) if isinstance(reference, str) else reference


class NoaRebuild(Rebuild):
    """The seed page's limits, where they are narrower than Nova's, and its wider imageRef."""

    image_ref: Annotated[Uuid, BeforeValidator(_image_id_of_url), Field(alias="imageRef")]
    name: Sent[Annotated[Name, Field(max_length=254)]] = None
    user_data: Annotated[Annotated[Base64, Field(min_length=1, max_length=65534)] | None, since("2.57")] = (
        None
    )


class Nothing(Request):
    """{}"""


class RebuildServer(Request):
    """The body of a rebuild under profile `nova`."""

    rebuild: Rebuild


class NoaRebuildServer(Request):
    """The body of a rebuild under profile `noa`."""

    rebuild: NoaRebuild


class PlanRebuildServer(Request):
    """The body of a rebuild that is only to be told of, under profile `nova`."""

    plan_rebuild: Annotated[Rebuild, Field(alias="planRebuild")]


class NoaPlanRebuildServer(Request):
    """The same under profile `noa`."""

    plan_rebuild: Annotated[NoaRebuild, Field(alias="planRebuild")]


class UndoRebuildServer(Request):
    """There is nothing to say: null or {}."""

    undo_rebuild: Annotated[Nothing | None, Field(alias="undoRebuild")]


BY_PROFILE: dict[str, type[RebuildServer] | type[NoaRebuildServer]] = {
    "nova": RebuildServer,
    "noa": NoaRebuildServer,
}
PLAN_BY_PROFILE: dict[str, type[PlanRebuildServer] | type[NoaPlanRebuildServer]] = {
    "nova": PlanRebuildServer,
    "noa": NoaPlanRebuildServer,
}
