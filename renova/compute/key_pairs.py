"""Key pairs: a user's public keys, by name. A private key made here is told once and never stored."""

import asyncio
import binascii
import hashlib
from base64 import b64decode
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_public_key,
)
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from renova.compute import certificates
from renova.compute.pages import Page, fetch_page
from renova.compute.quotas import UNLIMITED, Limits, limits_of, lock_owner
from renova.db.tables import KeyPair
from renova.errors import KeyPairExists, KeyPairInvalid, KeyPairNotFound, KeyPairQuotaExceeded

X509 = "x509"
RSA_BITS = 2048  # As in Nova: what every guest and client can read.


@dataclass(frozen=True)
class Generated:
    """A new key. ssh: public half in OpenSSH's format, private half in PEM. x509: as in certificates."""

    public: str
    private: str


async def generate(kind: str, user_id: str) -> Generated:
    """A new RSA key, made in a thread: it takes a processor for a tenth of a second or more."""
    if kind == X509:
        return Generated(*await certificates.generate(user_id, RSA_BITS))
    return await asyncio.to_thread(_generate)


def _generate() -> Generated:
    key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    return Generated(f"{public} Generated-by-Nova", private)


def fingerprint(public_key: str) -> str:
    """MD5 of the key's bytes, with colons as in Nova. Raises KeyPairInvalid for what is no SSH public key."""
    try:
        load_ssh_public_key(public_key.encode())
        digest = hashlib.md5(b64decode(public_key.split()[1]), usedforsecurity=False)
    except (ValueError, IndexError, UnsupportedAlgorithm, binascii.Error) as error:
        raise KeyPairInvalid("failed to generate fingerprint") from error
    return digest.digest().hex(":")


async def find_key_pair(session: AsyncSession, user_id: str, name: str) -> KeyPair:
    """Raises KeyPairNotFound (404). In the body of a request on servers that is to be a 400."""
    found = await session.scalar(select(KeyPair).where(KeyPair.user_id == user_id, KeyPair.name == name))
    if found is None:
        raise KeyPairNotFound(name, user_id)
    return found


async def list_key_pairs(session: AsyncSession, user_id: str, page: Page) -> list[KeyPair]:
    """In the order of their names. The marker is a name. Raises MarkerNotFound."""
    statement = select(KeyPair).where(KeyPair.user_id == user_id)
    return await fetch_page(
        session, statement, page, columns={}, unique=KeyPair.name, marker_column=KeyPair.name
    )


async def add_key_pair(
    session: AsyncSession,
    defaults: Limits,
    project_id: str,
    *,
    user_id: str,
    name: str,
    kind: str,
    public_key: str,
) -> KeyPair:
    """Key pairs are counted by user and limited by the quota of the project that the user comes with.

    `kind` is "ssh" or "x509". Raises KeyPairQuotaExceeded, KeyPairExists, and KeyPairInvalid.
    """
    await lock_owner(session, user_id)
    limits = await limits_of(session, defaults, project_id)
    count = select(func.count()).select_from(KeyPair).where(KeyPair.user_id == user_id)
    if limits.key_pairs != UNLIMITED and (await session.scalar(count) or 0) >= limits.key_pairs:
        raise KeyPairQuotaExceeded
    mark = certificates.fingerprint if kind == X509 else fingerprint
    key_pair = KeyPair(
        user_id=user_id, name=name, type=kind, public_key=public_key, fingerprint=mark(public_key)
    )
    session.add(key_pair)
    try:
        await session.flush()
    except IntegrityError as error:
        raise KeyPairExists(name) from error
    await session.refresh(key_pair)
    return key_pair


async def delete_key_pair(session: AsyncSession, user_id: str, name: str) -> None:
    """Servers keep the key that they were made with. Raises KeyPairNotFound."""
    deleted = await session.scalar(
        delete(KeyPair).where(KeyPair.user_id == user_id, KeyPair.name == name).returning(KeyPair.id)
    )
    if deleted is None:
        raise KeyPairNotFound(name, user_id)
