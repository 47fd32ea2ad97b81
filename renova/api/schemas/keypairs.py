"""What a client sends about key pairs. Source: Nova's API reference, "Keypairs (keypairs)"."""

from typing import Annotated, Literal

from pydantic import StringConstraints

from renova.api.marked import Query, Request
from renova.api.microversions import since
from renova.api.schemas.sent import Sent
from renova.api.schemas.types import Limit, Name, Paged

KeyPairName = Annotated[Name, StringConstraints(pattern=r"^[_\- a-zA-Z0-9]+$")]


class NewKeyPair(Request):
    """Without a public key a pair is made, and the private half told."""

    name: KeyPairName
    public_key: Sent[str] = None
    type: Annotated[Literal["ssh", "x509"], since("2.2")] = "ssh"
    user_id: Annotated[Sent[str], since("2.10")] = None


class CreateKeyPair(Request):
    keypair: NewKeyPair


class OfUser(Query):
    """Whose key pairs: another user's are for admins."""

    user_id: Annotated[Sent[str], since("2.10")] = None


class ListKeyPairs(Paged, OfUser):
    limit: Annotated[Limit | None, since("2.35")] = None
    marker: Annotated[str | None, since("2.35")] = None
