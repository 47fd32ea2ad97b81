"""X.509 certificates as key pairs: what a Windows guest knows a user by. Form: Nova's crypto.py."""

import asyncio
import binascii
from base64 import b64encode
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from renova.errors import KeyPairInvalid

BEGIN = "-----BEGIN CERTIFICATE-----"
VALID_FOR = timedelta(days=3650)
# The name that Windows maps to an account: an "other name" of Microsoft's, a UTF8String.
USER_PRINCIPAL_NAME = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")
UTF8_STRING = 0x0C


async def generate(user_id: str, bits: int) -> tuple[str, str]:
    """A self-signed certificate of a user in PEM, and it with its key: PKCS #12, no password, base64."""
    return await asyncio.to_thread(_generate, user_id, bits)


def _generate(user_id: str, bits: int) -> tuple[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user_id)])
    principal = f"{user_id}@localhost".encode()
    other_name = x509.OtherName(USER_PRINCIPAL_NAME, bytes([UTF8_STRING, len(principal)]) + principal)
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now, now + VALID_FOR
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([other_name]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = pkcs12.serialize_key_and_certificates(None, key, certificate, None, NoEncryption())
    return certificate.public_bytes(Encoding.PEM).decode(), b64encode(private).decode()


def fingerprint(certificate: str) -> str:
    """SHA-1 of the certificate, with colons as in Nova. Raises KeyPairInvalid for what is none in PEM."""
    try:
        read = x509.load_pem_x509_certificate(certificate.encode())
    except (ValueError, binascii.Error) as error:
        raise KeyPairInvalid(f"failed to generate X509 fingerprint. Error message: {error}") from error
    return read.fingerprint(hashes.SHA1()).hex(":")  # noqa: S303  Nova's; it names, and protects nothing.
