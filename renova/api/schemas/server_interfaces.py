"""The body of POST /servers/{id}/os-interface. Source: Nova's API reference, "Port interfaces"."""

from typing import Annotated

from pydantic import Field

from renova.api.marked import Request
from renova.api.microversions import since
from renova.api.schemas.sent import Sent
from renova.api.schemas.servers import Tag
from renova.api.schemas.types import Ipv4, Ipv6, Uuid


class FixedAddress(Request):
    ip_address: Ipv4 | Ipv6


class NewInterface(Request):
    net_id: Sent[Uuid] = None
    port_id: Uuid | None = None
    fixed_ips: Sent[Annotated[list[FixedAddress], Field(min_length=1, max_length=1)]] = None
    tag: Annotated[Sent[Tag], since("2.49")] = None


class AttachInterface(Request):
    """An empty object asks for any network, as in Nova."""

    attachment: Annotated[Sent[NewInterface], Field(alias="interfaceAttachment")] = None
