"""The image of a request that boots one: readable by the caller, and fit for the server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from renova.api.requests import Call
from renova.clients.glance import Image
from renova.compute import image_checks
from renova.errors import ImageNotFound, Invalid


async def seen_image(call: Call, image_id: str, *, if_missing: str) -> Image:
    """The image as Glance shows it to the caller, every time anew, with its real virtual size.

    Not to be called inside a transaction: Glance may take its time. Raises Invalid with `if_missing` where
    the caller sees no such image, ImageUnusable where its content is not what it claims.
    """
    try:
        image = await call.parts.glance.get_image(image_id, call.token)
        return await call.parts.glance.peek(image)
    except ImageNotFound as error:
        raise Invalid(if_missing) from error


@asynccontextmanager
async def seen_meanwhile(call: Call, image_id: str, *, if_missing: str) -> AsyncIterator[asyncio.Task[Image]]:
    """`seen_image` under way while the block looks at other things; who has no use for it need not wait.

    Glance takes longer than PostgreSQL for everything that a rebuild asks of it.
    """
    task = asyncio.create_task(seen_image(call, image_id, if_missing=if_missing))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def usable_image(
    call: Call, image_id: str, *, ram: int, disk: int, architecture: str, if_missing: str
) -> Image:
    """As `seen_image`; raises ImageUnusable also where a server can't be booted from it.

    `ram` in MiB and `disk` in GiB are the flavor's, `architecture` the host's.
    """
    image = await seen_image(call, image_id, if_missing=if_missing)
    image_checks.check(image, ram=ram, disk=disk, architecture=architecture)
    return image


async def least_ram(call: Call, image_id: str) -> int:
    """What a server's image asks for, in MiB. An image that is gone asks for nothing any more."""
    try:
        return (await call.parts.glance.get_image(image_id, call.token)).min_ram
    except ImageNotFound:
        return 0
