"""`changes-since` and `changes-before`: the span of time that a list is of."""

from datetime import datetime

from renova.errors import Invalid


def check_order(since: datetime | None, before: datetime | None) -> None:
    """Raises Invalid for a span that ends before it begins."""
    if since is not None and before is not None and before < since:
        raise Invalid("The value of changes-since must be less than or equal to changes-before.")
