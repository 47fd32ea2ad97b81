"""The bodies of resize and of what ends it.

Source: Nova's API reference, "Resize server", "Confirm resized server", "Revert resized server", and its JSON
schemas.
"""

from typing import Annotated, Any

from pydantic import Field

from renova.api.marked import Request
from renova.api.schemas.sent import Sent
from renova.api.schemas.servers import DiskConfig


class Resize(Request):
    flavor_ref: Annotated[Annotated[str, Field(min_length=1)] | int, Field(alias="flavorRef")]
    disk_config: Annotated[Sent[DiskConfig], Field(alias="OS-DCF:diskConfig")] = None


class ResizeServer(Request):
    resize: Resize


class ConfirmResize(Request):
    """Nova documents null and takes anything."""

    confirm: Annotated[Any, Field(alias="confirmResize")]


class RevertResize(Request):
    """Nova documents null and takes anything."""

    revert: Annotated[Any, Field(alias="revertResize")]
