"""How the list of a server's actions may be filtered and paged.

Source: Nova's API reference, "List Actions For Server", and its query schemas for 2.58 and 2.66.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from renova.api.microversions import Version, since
from renova.api.schemas.sent import Sent
from renova.api.schemas.types import Limit, Paged, Time


class ListActions(Paged):
    """The marker is the request id of an action. Before 2.58 a list has no parameters, and ignores all."""

    closed_since: ClassVar[Version] = Version(2, 58)

    limit: Annotated[Limit | None, since("2.58")] = None
    marker: Annotated[str | None, since("2.58")] = None
    changes_since: Annotated[Sent[Time], Field(alias="changes-since"), since("2.58")] = None
    changes_before: Annotated[Sent[Time], Field(alias="changes-before"), since("2.66")] = None
