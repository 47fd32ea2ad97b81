"""What a client sends about images, while Nova passes that on. Source: Nova's API reference, "Images"."""

from typing import Annotated

from pydantic import Field

from renova.api.schemas.sent import Sent
from renova.api.schemas.types import NonNegativeInteger, Paged, PositiveInteger


class ListImages(Paged):
    """Filters named `property-…` are any image property's. `page_size` and `offset` are of no effect.

    minRam and minDisk are looked at here: what is no number is an unexpected error to Glance.
    """

    limit: Sent[PositiveInteger] = None
    page_size: Sent[PositiveInteger] = None
    offset: Sent[PositiveInteger] = None
    name: Sent[str] = None
    status: Sent[str] = None
    changes_since: Annotated[Sent[str], Field(alias="changes-since")] = None
    server: Sent[str] = None
    type: Sent[str] = None
    min_ram: Annotated[Sent[NonNegativeInteger], Field(alias="minRam")] = None
    min_disk: Annotated[Sent[NonNegativeInteger], Field(alias="minDisk")] = None
