"""The body of createImage, and its answer.

Source: Nova's API reference, "Create image", and its JSON schemas.
"""

from typing import Annotated

from pydantic import Field

from renova.api.marked import Request
from renova.api.schemas.sent import Sent
from renova.api.schemas.types import Metadata, Name


class NewSnapshot(Request):
    name: Name
    metadata: Sent[Metadata] = None


class CreateImage(Request):
    create_image: Annotated[NewSnapshot, Field(alias="createImage")]
