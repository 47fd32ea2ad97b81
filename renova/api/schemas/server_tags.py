"""The bodies of the calls on a server's tags. Source: Nova's API reference, "Server tags"."""

from typing import Annotated

from pydantic import Field

from renova.api.marked import Request
from renova.api.schemas.servers import Tag
from renova.compute.tags import MOST


class WholeTags(Request):
    """The body of PUT /servers/{id}/tags."""

    tags: Annotated[list[Tag], Field(max_length=MOST)]
