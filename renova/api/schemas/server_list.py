"""How a list of servers may be filtered, sorted and paged.

Source: Nova's API reference, "List Servers", and its query schemas for 2.1 to 2.57.
"""

import re
from datetime import datetime
from typing import Annotated

from oslo_utils import timeutils
from pydantic import AfterValidator, BeforeValidator, Field

from renova.api.microversions import since
from renova.api.schemas.types import Paged, one_of, wrong
from renova.compute.servers import SORT_COLUMNS

# Nova drops these without a word, as keys that it took before it looked. Those of the last line are its own
# too, but the same for every server here, or without an order that means anything.
IGNORED_SORT_KEYS = frozenset(
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
        *("instance_type_id", "kernel_id", "ramdisk_id", "root_device_name"),
    )
)


def _regex(value: str) -> str:
    try:
        if value:
            re.compile(value)
            return value
    except (re.error, OverflowError, RecursionError):
        pass  # The last two are Python's answer to what is repeated or nested beyond sense.
    raise wrong("{value!r} is not a 'regex'", value=value)


def _time(value: str) -> datetime:
    try:
        return timeutils.parse_isotime(value)
    except ValueError:
        raise wrong("{value!r} is not a 'date-time'", value=value) from None


Regex = Annotated[str, AfterValidator(_regex)]
Time = Annotated[datetime, BeforeValidator(_time)]


class ListServers(Paged):
    """The parameters of GET /servers and GET /servers/detail."""

    sort_key: list[Annotated[str, one_of(SORT_COLUMNS.keys() | IGNORED_SORT_KEYS)]] = Field(
        default_factory=list
    )
    sort_dir: list[str] = Field(default_factory=list)
    status: list[str] = Field(default_factory=list)
    name: Regex | None = None
    image: str | None = None
    flavor: str | None = None
    reservation_id: Regex | None = None
    ip: Regex | None = None
    ip6: Annotated[Regex | None, since("2.5")] = None
    changes_since: Annotated[Time | None, Field(alias="changes-since")] = None
    all_tenants: str | None = None
    tags: Annotated[str | None, since("2.26")] = None
    tags_any: Annotated[str | None, Field(alias="tags-any"), since("2.26")] = None
    not_tags: Annotated[str | None, Field(alias="not-tags"), since("2.26")] = None
    not_tags_any: Annotated[str | None, Field(alias="not-tags-any"), since("2.26")] = None
    # From here on: of no effect but for those whom allow_all_filters lets use them.
    deleted: str | None = None
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
    launch_index: str | None = None
    power_state: Regex | None = None
    progress: Regex | None = None
    created_at: Regex | None = None
    launched_at: Regex | None = None
    terminated_at: Regex | None = None
