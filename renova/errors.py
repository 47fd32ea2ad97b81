"""What can go wrong, for every layer below the API. The docstring of a class is its default message.

    RenovaError
     |- Unauthenticated     401   a token that Glance refuses
     |- NotFound            404   ServerNotFound, FlavorNotFound, ImageNotFound, KeyPairNotFound, …
     |- Invalid             400   ImageUnusable, KeyPairUnknown, UserDataInvalid, …
     |- Forbidden           403   QuotaExceeded
     |- Conflict            409   ServerBusy, ServerLocked, KeyPairExists, …
     |- DiskFull            500   a host has no room left
     `- Unavailable         503   a service that Renova stands on does not answer

The API turns each into Nova's envelope by the class's `code`; nothing else chooses a status.
"""

from typing import ClassVar


class RenovaError(Exception):
    """The request could not be done."""

    code: ClassVar[int] = 500

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip().splitlines()[0])

    @property
    def message(self) -> str:
        return str(self.args[0])


class Invalid(RenovaError):
    """The request is not valid."""

    code = 400


class ImageUnusable(Invalid):
    """The image can't be used for this server."""


class ImageUnacceptable(ImageUnusable):
    """What is wrong lies in the image alone; Nova's own sentence."""

    def __init__(self, image_id: str, reason: str) -> None:
        super().__init__(f"Image {image_id} is unacceptable: {reason}")


class KeyPairInvalid(Invalid):
    def __init__(self, reason: str) -> None:
        super().__init__(f"Keypair data is invalid: {reason}")


class Unauthenticated(RenovaError):
    """The request you have made requires authentication."""

    code = 401


class Forbidden(RenovaError):
    """Policy doesn't allow this to be performed."""

    code = 403


class QuotaExceeded(Forbidden):
    """Quota exceeded, too many servers. Each argument lists what there is to say of every quota exceeded."""

    def __init__(self, resources: str, requested: str, used: str, allowed: str) -> None:
        # Nova's own sentence (TooManyInstances); clients match on it.
        super().__init__(
            f"Quota exceeded for {resources}: Requested {requested}, "
            f"but already used {used} of {allowed} {resources}"
        )


class KeyPairQuotaExceeded(Forbidden):
    """Quota exceeded, too many key pairs."""


class NotFound(RenovaError):
    """The resource could not be found."""

    code = 404


class ServerNotFound(NotFound):
    def __init__(self, server_id: str) -> None:
        super().__init__(f"Instance {server_id} could not be found.")


class FlavorNotFound(NotFound):
    def __init__(self, flavor_id: str) -> None:
        super().__init__(f"Flavor {flavor_id} could not be found.")


class KeyPairNotFound(NotFound):
    def __init__(self, name: str, user_id: str) -> None:
        super().__init__(f"Keypair {name} not found for user {user_id}")


class ImageNotFound(NotFound):
    """Also for an image that exists and that the caller may not see."""

    def __init__(self, image_id: str) -> None:
        super().__init__(f"Image {image_id} could not be found.")


class Conflict(RenovaError):
    """The server is not in a state in which this can be done."""

    code = 409


class FlavorExists(Conflict):
    def __init__(self, attribute: str, value: str) -> None:
        super().__init__(f"Flavor with {attribute} {value} already exists.")


class KeyPairExists(Conflict):
    def __init__(self, name: str) -> None:
        super().__init__(f"Key pair '{name}' already exists.")


class ServerBusy(Conflict):
    """A wrong vm_state, or a task that is under way: Nova's InstanceInvalidState."""

    def __init__(self, server_id: str, action: str, attribute: str, value: str | None) -> None:
        if value is None:
            super().__init__(f"Instance {server_id} is in an invalid state for '{action}'")
        else:
            super().__init__(f"Cannot '{action}' instance {server_id} while it is in {attribute} {value}")


class ServerLocked(Conflict):
    def __init__(self, server_id: str) -> None:
        super().__init__(f"Instance {server_id} is locked")


class DiskFull(RenovaError):
    """No space left on the host's disk."""


class Unavailable(RenovaError):
    """The service is temporarily unavailable. Please try again later."""

    code = 503
