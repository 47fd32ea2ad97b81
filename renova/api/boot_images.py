"""The image of a request that boots one: readable by the caller, and fit for the server."""

from renova.api.requests import Call
from renova.clients.glance import Image
from renova.compute import image_checks
from renova.errors import ImageNotFound, Invalid


async def usable_image(
    call: Call, image_id: str, *, ram: int, disk: int, architecture: str, if_missing: str
) -> Image:
    """The image as Glance shows it to the caller, every time anew, with its real virtual size.

    `ram` in MiB and `disk` in GiB are the flavor's, `architecture` the host's. Not to be called inside a
    transaction: Glance may take its time. Raises Invalid with `if_missing` where the caller sees no such
    image, ImageUnusable where it can't be booted here.
    """
    try:
        image = await call.parts.glance.get_image(image_id, call.token)
        image = await call.parts.glance.peek(image)
    except ImageNotFound as error:
        raise Invalid(if_missing) from error
    image_checks.check(image, ram=ram, disk=disk, architecture=architecture)
    return image


async def least_ram(call: Call, image_id: str) -> int:
    """What a server's image asks for, in MiB. An image that is gone asks for nothing any more."""
    try:
        return (await call.parts.glance.get_image(image_id, call.token)).min_ram
    except ImageNotFound:
        return 0
