"""What a client sees of key pairs. Source: Nova's API reference, "Keypairs (keypairs)"."""

from typing import Annotated, Any, Self

from renova.api.marked import View
from renova.api.microversions import since
from renova.api.views.times import to_the_microsecond
from renova.db.tables import KeyPair


class KeyPairBrief(View):
    """An entry of GET /os-keypairs."""

    name: str
    public_key: str
    fingerprint: str
    type: Annotated[str, since("2.2")]

    @classmethod
    def of(cls, key_pair: KeyPair, **more: Any) -> Self:
        return cls(
            name=key_pair.name,
            public_key=key_pair.public_key,
            fingerprint=key_pair.fingerprint,
            type=key_pair.type,
            **more,
        )


class NewKeyPairView(KeyPairBrief):
    """The answer to POST. `private_key` is there only where we made it, and is told nowhere else."""

    user_id: str
    private_key: str = ""


class KeyPairView(KeyPairBrief):
    """One key pair. None is ever changed, or kept when it is deleted, so three of the fields never vary."""

    id: int
    user_id: str
    created_at: str | None
    updated_at: None
    deleted: bool
    deleted_at: None

    @classmethod
    def of(cls, key_pair: KeyPair, **_: Any) -> Self:
        return super().of(
            key_pair,
            id=key_pair.id,
            user_id=key_pair.user_id,
            created_at=to_the_microsecond(key_pair.created_at),
            updated_at=None,
            deleted=False,
            deleted_at=None,
        )
