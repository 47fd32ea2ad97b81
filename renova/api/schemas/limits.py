"""What a client may ask of its limits. Source: Nova's API reference, "Limits (limits)"."""

from renova.api.marked import Query
from renova.api.schemas.sent import Sent


class ShowLimits(Query):
    """`tenant_id` is another project's id, for admins. `reserved` is of no effect, as in Nova."""

    tenant_id: Sent[str] = None
    reserved: Sent[str] = None
