"""What a client sends about key pairs. Source: Nova's API reference, "Keypairs (keypairs)"."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from renova.api.marked import Query, Request
from renova.api.microversions import MINIMUM, Span, parse, required_since, since
from renova.api.schemas.sent import Sent
from renova.api.schemas.types import Limit, Name, Paged

EarlyName = Annotated[Name, StringConstraints(pattern=r"^[_\- a-zA-Z0-9]+$")]
LaterName = Annotated[Name, StringConstraints(pattern=r"^[_\-\@\. a-zA-Z0-9]+$")]


class NewKeyPair(Request):
    """Without a public key a pair is made, and the private half told, up to 2.91."""

    early_name: Annotated[
        Sent[EarlyName], Field(alias="name"), Span(last=parse("2.91"), required_from=MINIMUM)
    ] = None
    later_name: Annotated[
        Sent[LaterName], Field(alias="name"), Span(first=parse("2.92"), required_from=parse("2.92"))
    ] = None
    public_key: Annotated[Sent[str], required_since("2.92")] = None
    type: Annotated[Literal["ssh", "x509"], since("2.2")] = "ssh"
    user_id: Annotated[Sent[str], since("2.10")] = None

    @property
    def name(self) -> str:
        return self.later_name or self.early_name or ""


class CreateKeyPair(Request):
    keypair: NewKeyPair


class OfUser(Query):
    """Whose key pairs: another user's are for admins."""

    user_id: Annotated[Sent[str], since("2.10")] = None


class ListKeyPairs(Paged, OfUser):
    limit: Annotated[Limit | None, since("2.35")] = None
    marker: Annotated[str | None, since("2.35")] = None
