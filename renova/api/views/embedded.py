"""What an answer about a server embeds: its image, its flavor and its fault.

Source: Nova's API reference, "Servers (servers)".
"""

from collections.abc import Mapping
from typing import Annotated, Any

from renova.api.marked import View
from renova.api.microversions import since
from renova.api.views.links import Links

_INTERNAL_ERROR = 500


class Reference(View):
    """An image or a flavor, by id and bookmark."""

    id: str
    links: list[dict[str, str]]


class ImageReference(Reference):
    properties: Annotated[dict[str, str], since("2.98")]


class EmbeddedFlavor(View):
    """The flavor as it was when the server got it. Sizes as in the flavors table."""

    original_name: str
    vcpus: int
    ram: int
    disk: int
    ephemeral: int
    swap: int
    extra_specs: dict[str, str] | None = None


class Fault(View):
    code: int
    created: str
    message: str
    details: str | None = None


def reference(links: Links, collection: str, identifier: str) -> dict[str, Any]:
    (_, bookmark) = links.of(collection, identifier)
    return {"id": identifier, "links": [bookmark]}


def fault_of(fault: Mapping[str, Any], *, details: bool) -> Fault:
    """Nova shows the details of an internal error to admins only; others get the message."""
    shown = {name: fault[name] for name in ("code", "created", "message")}
    if fault.get("details") and (details or fault["code"] != _INTERNAL_ERROR):
        shown["details"] = fault["details"]
    return Fault(**shown)
