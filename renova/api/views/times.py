"""Times as Nova writes them, always in UTC. It has two ways, and clients parse each where they expect it."""

from datetime import UTC, datetime


def to_the_second(moment: datetime) -> str:
    """`created` and `updated`: 2026-11-23T18:00:00Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_the_microsecond(moment: datetime | None) -> str | None:
    """Times of usage, actions and key pairs: 2026-11-23T18:00:00.000000, without a zone."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") if moment else None
