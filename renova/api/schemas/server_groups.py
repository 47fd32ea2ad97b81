"""What a client sends about server groups. Source: Nova's API reference, "Server groups", and its schemas."""

from typing import Annotated, Literal

from pydantic import Field

from renova.api.marked import Query, Request
from renova.api.microversions import MINIMUM, Span, Version, since
from renova.api.schemas.sent import Sent
from renova.api.schemas.types import Name, NonNegativeInteger, PositiveInteger

Hard = Literal["anti-affinity", "affinity"]
Policy = Literal["anti-affinity", "affinity", "soft-anti-affinity", "soft-affinity"]
One = Field(min_length=1, max_length=1)
_EARLY = Span(last=Version(2, 14), required_from=MINIMUM)
_LATER = Span(Version(2, 15), Version(2, 63), required_from=Version(2, 15))
_LATEST = Span(Version(2, 64), required_from=Version(2, 64))


class Rules(Request):
    max_server_per_host: Sent[PositiveInteger] = None


class NewGroup(Request):
    """The policy: a list of one, of two kinds at first; a word from 2.64 on."""

    name: Name
    hard_policies: Annotated[Sent[Annotated[list[Hard], One]], Field(alias="policies"), _EARLY] = None
    soft_policies: Annotated[Sent[Annotated[list[Policy], One]], Field(alias="policies"), _LATER] = None
    one_policy: Annotated[Sent[Policy], Field(alias="policy"), _LATEST] = None
    rules: Annotated[Sent[Rules], since("2.64")] = None

    @property
    def policy(self) -> str:
        (policy,) = self.hard_policies or self.soft_policies or [self.one_policy]
        assert policy is not None  # Each version requires one of the three.
        return policy


class CreateGroup(Request):
    server_group: NewGroup


class ListGroups(Query):
    """`all_projects`, whatever its value, is for admins; of no effect for others, as in Nova."""

    all_projects: Sent[str] = None
    limit: Sent[NonNegativeInteger] = None
    offset: Sent[NonNegativeInteger] = None
