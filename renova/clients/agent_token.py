"""The short-lived token that the API shows an agent: for one server and purpose, signed with a secret."""

from datetime import UTC, datetime, timedelta

import jwt

from renova.errors import RenovaError

ALGORITHM = "HS256"
LIFETIME = timedelta(seconds=60)
# Purposes.
CONSOLE = "console"
SSH_HOST_KEYS = "ssh-host-keys"


class TokenRefused(RenovaError):
    """The token is not one for this server and purpose."""

    code = 401


def sign(secret: str, server_id: str, purpose: str) -> str:
    """A token that is good for LIFETIME."""
    claims = {"sub": server_id, "aud": purpose, "exp": datetime.now(UTC) + LIFETIME}
    return jwt.encode(claims, secret, ALGORITHM)


def verify(secret: str, token: str, server_id: str, purpose: str) -> None:
    """Raises TokenRefused unless the token was signed with this secret, for just this, and is not too old."""
    try:
        jwt.decode(
            token,
            secret,
            [ALGORITHM],
            options={"require": ["sub", "aud", "exp"]},
            audience=purpose,
            subject=server_id,
        )
    except jwt.InvalidTokenError as error:
        raise TokenRefused from error
