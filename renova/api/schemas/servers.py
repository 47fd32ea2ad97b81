"""What a client sends to create a server and to change it, at each microversion.

Source: Nova's API reference, "Create server" and "Update server", and its JSON schemas.
"""

import json
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from renova.api.marked import Request
from renova.api.microversions import Span, parse, since, until
from renova.api.schemas.sent import Sent
from renova.api.schemas.types import (
    Base64,
    Boolean,
    Description,
    HostLabel,
    HostName,
    Ipv4,
    Ipv6,
    Metadata,
    Name,
    PositiveInteger,
    TrustedCertificates,
    Uuid,
)
from renova.compute.tags import LONGEST, MOST

Tag = Annotated[str, Field(min_length=1, max_length=LONGEST, pattern="^[^,/]*$")]
DiskConfig = Literal["AUTO", "MANUAL"]
Text255 = Annotated[str, Field(max_length=255)]


class File(Request):
    """A file to be put into the guest: an absolute path and its content in base64."""

    path: str
    contents: Base64


class RequestedNetwork(Request):
    """One network card. Its `tag` came with 2.32, went by mistake with 2.37 and came back with 2.42."""

    fixed_ip: Sent[Ipv4 | Ipv6] = None
    port: Uuid | None = None
    loose_uuid: Annotated[Sent[str], Field(alias="uuid"), until("2.36")] = None
    strict_uuid: Annotated[Sent[Uuid], Field(alias="uuid"), since("2.37")] = None
    early_tag: Annotated[Sent[Tag], Field(alias="tag"), since("2.32", "2.36")] = None
    later_tag: Annotated[Sent[Tag], Field(alias="tag"), since("2.42")] = None

    @property
    def network_id(self) -> str | None:
        return self.strict_uuid or self.loose_uuid


class SecurityGroup(Request):
    name: Sent[Name] = None


class LegacyBlockDevice(Request):
    virtual_name: Sent[Text255] = None
    volume_id: Sent[Uuid] = None
    snapshot_id: Sent[Uuid] = None
    volume_size: Sent[PositiveInteger] = None
    device_name: Sent[Annotated[Text255, Field(min_length=1, pattern="^[a-zA-Z0-9._/-]*$")]] = None
    delete_on_termination: Sent[Boolean] = None
    no_device: Any = None
    connection_info: Sent[str] = None


class BlockDevice(LegacyBlockDevice):
    """An entry of block_device_mapping_v2. Its `tag` exists in 2.32 alone, and again from 2.42 on."""

    source_type: Sent[Literal["volume", "image", "snapshot", "blank"]] = None
    uuid: Sent[Annotated[Text255, Field(min_length=1, pattern="^[a-zA-Z0-9._-]*$")]] = None
    image_id: Sent[Uuid] = None
    destination_type: Sent[Literal["local", "volume"]] = None
    guest_format: Sent[Text255] = None
    device_type: Sent[Text255] = None
    disk_bus: Sent[Text255] = None
    boot_index: int | Annotated[str, Field(pattern="^-?[0-9]+$")] | None = None
    early_tag: Annotated[Sent[Tag], Field(alias="tag"), since("2.32", "2.32")] = None
    later_tag: Annotated[Sent[Tag], Field(alias="tag"), since("2.42")] = None
    volume_type: Annotated[Text255 | None, since("2.67")] = None

    def is_the_image(self, image_id: str | None) -> bool:
        """Whether the entry says no more than that the server boots from this image."""
        local = self.source_type == "image" and self.destination_type == "local"
        return local and self.uuid == image_id and self.boot_index in {0, "0"}


class SchedulerHints(Request):
    """`group` is a server group's id. The others are kept, shown and of no effect."""

    model_config = ConfigDict(extra="allow")
    open_to_anything: ClassVar[bool] = True

    group: Sent[Uuid | list[Uuid]] = None
    different_host: Sent[Uuid | list[Uuid]] = None
    same_host: Sent[str | list[Uuid]] = None
    query: Sent[str | dict[str, Any]] = None
    target_cell: Sent[Name] = None
    different_cell: Sent[str | list[str]] = None
    build_near_host_ip: Sent[Ipv4 | Ipv6] = None
    cidr: Sent[Annotated[str, Field(pattern="^/[0-9a-f.:]+$")]] = None

    def as_lists(self) -> dict[str, list[str]]:
        """Each hint as a list of words: the form in which Nova keeps and shows them."""
        hints = self.model_dump(exclude_unset=True).items()
        return {name: [*map(_word, value if isinstance(value, list) else [value])] for name, value in hints}


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


class Named(Request):
    """What create, update and rebuild say of the host name: one label, and since 2.94 a domain name too."""

    host_label: Annotated[Sent[HostLabel], Field(alias="hostname"), since("2.90", "2.93")] = None
    host_name: Annotated[Sent[HostName], Field(alias="hostname"), since("2.94")] = None

    @property
    def hostname(self) -> str | None:
        return self.host_name or self.host_label


class NewServer(Named):
    name: Name
    flavor_ref: Annotated[Annotated[str, Field(min_length=1)] | int, Field(alias="flavorRef")]
    # "" stands for a boot from a volume; without block devices the handler refuses it, as in Nova.
    image_ref: Annotated[Sent[Literal[""] | Uuid], Field(alias="imageRef")] = None
    admin_pass: Annotated[Sent[str], Field(alias="adminPass")] = None
    metadata: Sent[Metadata] = None
    optional_networks: Annotated[Sent[list[RequestedNetwork]], Field(alias="networks"), until("2.36")] = None
    required_networks: Annotated[
        Sent[Literal["auto", "none"] | list[RequestedNetwork]],
        Field(alias="networks"),
        Span(first=parse("2.37"), required_from=parse("2.37")),
    ] = None
    disk_config: Annotated[Sent[DiskConfig], Field(alias="OS-DCF:diskConfig")] = None
    access_ip_v4: Annotated[Sent[Ipv4], Field(alias="accessIPv4")] = None
    access_ip_v6: Annotated[Sent[Ipv6], Field(alias="accessIPv6")] = None
    personality: Annotated[Sent[list[File]], until("2.56")] = None
    availability_zone: Sent[Name] = None
    block_device_mapping: Sent[list[LegacyBlockDevice]] = None
    block_device_mapping_v2: Sent[list[BlockDevice]] = None
    config_drive: Sent[Boolean] = None
    key_name: Sent[Name] = None
    min_count: Sent[PositiveInteger] = None
    max_count: Sent[PositiveInteger] = None
    return_reservation_id: Sent[Boolean] = None
    security_groups: Sent[list[SecurityGroup]] = None
    user_data: Sent[Annotated[Base64, Field(max_length=65535)]] = None
    description: Annotated[Description, since("2.19")] = None
    tags: Annotated[Sent[Annotated[list[Tag], Field(max_length=MOST)]], since("2.52")] = None
    trusted_image_certificates: Annotated[TrustedCertificates, since("2.63")] = None
    host: Annotated[Sent[HostName], since("2.74")] = None
    hypervisor_hostname: Annotated[Sent[HostName], since("2.74")] = None

    @property
    def networks(self) -> Literal["auto", "none"] | list[RequestedNetwork] | None:
        return self.required_networks or self.optional_networks


class CreateServer(Request):
    """The body of POST /servers."""

    server: NewServer
    hints: Annotated[Sent[SchedulerHints], Field(alias="os:scheduler_hints")] = None
    older_hints: Annotated[Sent[SchedulerHints], Field(alias="OS-SCH-HNT:scheduler_hints")] = None

    @property
    def scheduler_hints(self) -> dict[str, list[str]]:
        hints = self.hints or self.older_hints
        return hints.as_lists() if hints else {}


class ServerChanges(Named):
    name: Sent[Name] = None
    disk_config: Annotated[Sent[DiskConfig], Field(alias="OS-DCF:diskConfig")] = None
    access_ip_v4: Annotated[Sent[Ipv4], Field(alias="accessIPv4")] = None
    access_ip_v6: Annotated[Sent[Ipv6], Field(alias="accessIPv6")] = None
    description: Annotated[Description, since("2.19")] = None
    pinned_availability_zone: Annotated[Name | None, since("2.104")] = None

    def columns(self) -> dict[str, Any]:
        """The columns of the server that the client sent."""
        columns = self.model_dump(exclude_unset=True, exclude={"host_label", "host_name"})
        return columns if self.hostname is None else columns | {"hostname": self.hostname}


class UpdateServer(Request):
    """The body of PUT /servers/{id}."""

    server: ServerChanges
