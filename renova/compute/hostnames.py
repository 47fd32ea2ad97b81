"""The host name that a guest is told: its owner's, or one made from the server's name."""

import re

from renova.db.tables import Server


def hostname_of(name: str, server_id: str) -> str:
    """Made from a name: its letters, digits, dots and hyphens, at most 63 (Nova's rule)."""
    ascii_name = name.encode("ascii", "ignore").decode()
    hostname = re.sub(r"[^\w.-]+", "", re.sub(r"[ _.]", "-", ascii_name)).lower().strip(".-")[:63].rstrip("-")
    return hostname or f"server-{server_id}"


def hostname_after(server: Server, name: str) -> str:
    """What the host name becomes with a new name: it follows the name that it was made from, and one that the
    owner chose stays.
    """
    made = server.hostname == hostname_of(server.name, server.id)
    return hostname_of(name, server.id) if made else server.hostname
