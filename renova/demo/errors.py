"""What keeps the demo from going on, in one line."""

from renova.errors import RenovaError


class DemoError(RenovaError):
    """The demo could not go on."""
