"""How a list of servers may be filtered, sorted and paged.

Source: Nova's API reference, "List Servers", and its query schemas.
"""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from renova.api.microversions import Version, since, until
from renova.api.schemas.types import Paged, Time, one_of, wrong
from renova.compute.servers import SORT_COLUMNS

# Nova drops these without a word up to 2.74, as keys that it took before it looked.
FORMER_SORT_KEYS = frozenset(
    (
        *(
            "architecture",
            "cell_name",
            "cleaned",
            "default_ephemeral_device",
            "default_swap_device",
            "deleted",
        ),
        *("deleted_at", "disable_terminate", "ephemeral_gb", "ephemeral_key_uuid", "id", "key_data"),
        *("launched_on", "locked", "memory_mb", "os_type", "reservation_id", "root_gb", "shutdown_terminate"),
        *("user_data", "vcpus", "vm_mode"),
    )
)
# Nova's too, but the same for every server here, or without an order that means anything.
IDLE_SORT_KEYS = frozenset(("instance_type_id", "kernel_id", "ramdisk_id", "root_device_name"))
# The names of Nova's inner tables, and what begins with an underscore, are no parameters. Only those who may
# use every filter are told so.
INNER_TABLES = frozenset(
    (
        *("block_device_mapping", "services", "metadata", "system_metadata", "info_cache"),
        *("security_groups", "pci_devices"),
    )
)


def is_inner(name: str) -> bool:
    return name in INNER_TABLES or name.startswith("_")


def _regex(value: str) -> str:
    try:
        if value:
            re.compile(value)
            return value
    except (re.error, OverflowError, RecursionError):
        pass  # The last two are Python's answer to what is repeated or nested beyond sense.
    raise wrong("{value!r} is not a 'regex'", value=value)


Regex = Annotated[str, AfterValidator(_regex)]


class ListServers(Paged):
    """The parameters of GET /servers and GET /servers/detail."""

    early_sort_key: Annotated[
        list[Annotated[str, one_of(SORT_COLUMNS.keys() | FORMER_SORT_KEYS | IDLE_SORT_KEYS)]],
        Field(alias="sort_key", default_factory=list),
        until("2.74"),
    ]
    later_sort_key: Annotated[
        list[Annotated[str, one_of(SORT_COLUMNS.keys() | IDLE_SORT_KEYS)]],
        Field(alias="sort_key", default_factory=list),
        since("2.75"),
    ]
    sort_dir: list[str] = Field(default_factory=list)
    status: list[str] = Field(default_factory=list)
    name: Regex | None = None
    image: str | None = None
    flavor: str | None = None
    reservation_id: Regex | None = None
    ip: Regex | None = None
    ip6: Annotated[Regex | None, since("2.5")] = None
    changes_since: Annotated[Time | None, Field(alias="changes-since")] = None
    changes_before: Annotated[Time | None, Field(alias="changes-before"), since("2.66")] = None
    locked: Annotated[str | None, since("2.73")] = None
    all_tenants: str | None = None
    tags: Annotated[str | None, since("2.26")] = None
    tags_any: Annotated[str | None, Field(alias="tags-any"), since("2.26")] = None
    not_tags: Annotated[str | None, Field(alias="not-tags"), since("2.26")] = None
    not_tags_any: Annotated[str | None, Field(alias="not-tags-any"), since("2.26")] = None
    # From here on: of no effect but for those whom allow_all_filters lets use them, some of them since 2.83.
    deleted: str | None = None
    soft_deleted: str | None = None  # Nothing here is deleted softly.
    project_id: str | None = None
    tenant_id: str | None = None
    user_id: str | None = None
    host: str | None = None
    uuid: str | None = None
    vm_state: str | None = None
    task_state: str | None = None
    image_ref: str | None = None
    display_name: Regex | None = None
    display_description: Regex | None = None
    hostname: Regex | None = None
    key_name: Regex | None = None
    node: Regex | None = None
    availability_zone: Regex | None = None
    locked_by: Regex | None = None
    access_ip_v4: Regex | None = None
    access_ip_v6: Regex | None = None
    description: Regex | None = None
    kernel_id: Regex | None = None
    ramdisk_id: Regex | None = None
    root_device_name: Regex | None = None
    config_drive: Regex | None = None
    auto_disk_config: Regex | None = None
    launch_index: str | None = None
    power_state: Regex | None = None
    progress: Regex | None = None
    created_at: Regex | None = None
    launched_at: Regex | None = None
    terminated_at: Regex | None = None

    @property
    def sort_key(self) -> list[str]:
        return self.later_sort_key or self.early_sort_key

    @classmethod
    def values(cls, items: list[tuple[str, str]], version: Version) -> dict[str, Any]:
        return super().values([item for item in items if not is_inner(item[0])], version)
