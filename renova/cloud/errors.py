"""What `renova up` tells the person who typed it, in one line."""

from renova.errors import RenovaError


class CloudError(RenovaError):
    """The embedded cloud could not be started."""
