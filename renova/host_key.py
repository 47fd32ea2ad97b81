"""A public SSH host key of a guest, as the agent finds it and the API shows it."""

from dataclasses import dataclass

from pydantic import TypeAdapter


@dataclass(frozen=True)
class HostKey:
    """`type` is OpenSSH's name (ssh-ed25519), `fingerprint` OpenSSH's SHA256:…, `public_key` "type base64"
    without a comment, None where the console has shown nothing but the fingerprint.
    """

    type: str
    fingerprint: str
    public_key: str | None


HOST_KEYS = TypeAdapter(list[HostKey])
