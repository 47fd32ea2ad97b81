"""Passwords for servers whose owner sent none."""

import secrets

# Nova's symbols: no two that look alike.
_GROUPS = ("23456789", "ABCDEFGHJKLMNPQRSTUVWXYZ", "abcdefghijkmnopqrstuvwxyz")
_LENGTH = 12


def generate() -> str:
    """Twelve symbols, of each kind at least one."""
    symbols = [secrets.choice(group) for group in _GROUPS]
    symbols += [secrets.choice("".join(_GROUPS)) for _ in range(_LENGTH - len(symbols))]
    secrets.SystemRandom().shuffle(symbols)
    return "".join(symbols)
