"""What counts as a public key, how its fingerprint looks, and what is generated."""

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_public_key

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
    made = await generate()
    assert made.public.startswith("ssh-rsa ")
    assert made.public.endswith(" Generated-by-Nova")
    assert made.private.startswith("-----BEGIN RSA PRIVATE KEY-----")
    private = load_pem_private_key(made.private.encode(), password=None)
    assert private.public_key() == load_ssh_public_key(made.public.encode())
    assert len(fingerprint(made.public).split(":")) == 16
