"""What an admin may ask of services. Source: Nova's API reference, "Compute services (os-services)"."""

from renova.api.marked import Query
from renova.api.schemas.sent import Sent


class ListServices(Query):
    """An empty filter is none, as in Nova."""

    host: Sent[str] = None
    binary: Sent[str] = None
