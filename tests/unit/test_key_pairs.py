"""What counts as a public key or certificate, how its fingerprint looks, and what is generated."""

from base64 import b64decode

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_public_key, pkcs12
from cryptography.x509 import load_pem_x509_certificate

from renova.compute import certificates
from renova.compute.key_pairs import fingerprint, generate
from renova.errors import KeyPairInvalid

# Made with ssh-keygen; the fingerprint is what `ssh-keygen -l -E md5` says of it.
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM+isJh/A/p3aaaGN/ZbaqN6oxCulmC+aSVO7m9MwWZz someone@somewhere"


def test_fingerprint_is_what_ssh_keygen_says() -> None:
    assert fingerprint(ED25519) == "4e:13:6e:9a:b8:ff:9d:1f:57:9c:09:c5:57:0d:de:c4"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-rsa",
        "ssh-rsa AAAA",
        "not a key",
        ED25519.split()[1],
        "ssh-rsa " + ED25519.split()[1],
        "ssh-ed25519 é",
    ],
)
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(KeyPairInvalid, match="Keypair data is invalid: failed to generate fingerprint"):
        fingerprint(text)


async def test_a_generated_pair_fits_together() -> None:
    made = await generate("ssh", "a-user")
    assert made.public.startswith("ssh-rsa ")
    assert made.public.endswith(" Generated-by-Nova")
    assert made.private.startswith("-----BEGIN RSA PRIVATE KEY-----")
    private = load_pem_private_key(made.private.encode(), password=None)
    assert private.public_key() == load_ssh_public_key(made.public.encode())
    assert len(fingerprint(made.public).split(":")) == 16


async def test_a_generated_certificate_fits_its_key() -> None:
    made = await generate("x509", "a-user")
    certificate = load_pem_x509_certificate(made.public.encode())
    assert certificate.subject.rfc4514_string() == "CN=a-user"
    certificate.verify_directly_issued_by(certificate)
    assert b"a-user@localhost" in certificate.extensions[1].value.public_bytes()
    key, same, _ = pkcs12.load_key_and_certificates(b64decode(made.private), None)
    assert key is not None
    assert same == certificate
    assert key.public_key() == certificate.public_key()
    assert len(certificates.fingerprint(made.public).split(":")) == 20


def test_what_is_no_certificate() -> None:
    with pytest.raises(KeyPairInvalid, match=r"failed to generate X509 fingerprint\. Error message: "):
        certificates.fingerprint(ED25519)
