"""The bodies of the calls on a server's metadata. Source: Nova's API reference, "Server metadata"."""

from typing import Annotated

from pydantic import Field

from renova.api.marked import Request
from renova.api.schemas.types import Metadata


class WholeMetadata(Request):
    """The body of POST and PUT /servers/{id}/metadata."""

    metadata: Metadata


class MetadataItem(Request):
    """The body of PUT /servers/{id}/metadata/{key}."""

    meta: Annotated[Metadata, Field(min_length=1, max_length=1)]
