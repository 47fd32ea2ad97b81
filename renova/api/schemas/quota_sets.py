"""What a client sends about quotas. Source: Nova's API reference, "Quota sets (os-quota-sets)"."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from renova.api.marked import Query, Request
from renova.api.microversions import until
from renova.api.schemas.sent import Sent
from renova.api.schemas.types import MAX_INTEGER, Boolean, wrong


def _number(value: Any) -> Any:
    """Nova takes numbers in strings too."""
    if not isinstance(value, str):
        return value
    if not re.fullmatch(r"-?[0-9]+", value):
        raise wrong("{value!r} does not match '^-?[0-9]+$'", value=value)
    # Python refuses to read some thousands of digits; so many are too many anyway.
    return int(value[:20])


Limit = Sent[Annotated[int, BeforeValidator(_number), Field(ge=-1, le=MAX_INTEGER)]]


class ChangedQuotas(Request):
    """-1 is no limit; ram is in MiB. `force` lets a limit be lower than what is in use."""

    instances: Limit = None
    cores: Limit = None
    ram: Limit = None
    metadata_items: Limit = None
    key_pairs: Limit = None
    server_groups: Limit = None
    server_group_members: Limit = None
    injected_files: Annotated[Limit, until("2.56")] = None
    injected_file_content_bytes: Annotated[Limit, until("2.56")] = None
    injected_file_path_bytes: Annotated[Limit, until("2.56")] = None
    fixed_ips: Annotated[Limit, until("2.35")] = None
    floating_ips: Annotated[Limit, until("2.35")] = None
    security_groups: Annotated[Limit, until("2.35")] = None
    security_group_rules: Annotated[Limit, until("2.35")] = None
    force: Boolean = False


class UpdateQuotas(Request):
    quota_set: ChangedQuotas


class OfUser(Query):
    """`user_id`: the quotas of one user in the project."""

    user_id: Sent[str] = None
