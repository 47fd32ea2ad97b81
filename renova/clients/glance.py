"""Glance, as Renova uses it: what an image is, and its bytes."""

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import httpx
from httpx import codes

from renova.errors import Forbidden, ImageNotFound, ImageUnusable, Invalid, Unauthenticated, Unavailable
from renova.image import FORMATS, HEAD_SIZE, Image, inspect_head

__all__ = ["Glance", "Image"]

LOG = logging.getLogger(__name__)
CHUNK_SIZE = 1024 * 1024
MOST_VERDICTS = 1024
TIMEOUT = 30  # Seconds until Glance has to send something: a store behind it may be slow to begin.

# Glance's own schema of an image (GET /v2/schemas/image); every other key is a property.
CORE = {
    "id", "name", "status", "visibility", "owner", "protected", "tags", "os_hidden", "created_at",
    "updated_at", "size", "virtual_size", "min_ram", "min_disk", "disk_format", "container_format", "file",
    "locations", "stores", "checksum", "os_hash_algo", "os_hash_value", "direct_url", "self", "schema",
}  # fmt: skip


class ServiceUser(Protocol):
    """Who reads the bytes of images. See `renova.clients.keystone.Identity`."""

    async def token(self) -> str: ...

    async def renew(self) -> str: ...

    async def endpoint(self, service_type: str) -> str: ...


class Glance:
    """The image service of the catalogue. Every method raises Unavailable where it does not answer."""

    def __init__(self, identity: ServiceUser, http: httpx.AsyncClient) -> None:
        """`http` stays the caller's to close; `identity.http()` makes one."""
        self._identity = identity
        self._http = http
        # (image id, digest) -> virtual size, or why the image can't be used. The id is in the key because
        # Glance, where it lets users register locations, takes their word for the digest.
        self._verdicts: dict[tuple[str, str], int | str] = {}

    async def get_image(self, image_id: str, token: str) -> Image:
        """An image that the owner of `token` may see.

        Raises ImageNotFound (also where others may see it), Unauthenticated where Glance refuses the token.
        """
        async with self._get(image_id, headers={"X-Auth-Token": token}) as response:
            if response.status_code == codes.UNAUTHORIZED:
                raise Unauthenticated
            _raise_for(response, image_id)
            await response.aread()
            return _image_of(response.json())

    async def peek(self, image: Image) -> Image:
        """The image with the virtual size that its first bytes prove; HEAD_SIZE bytes are fetched, once.

        To be called after `get_image` with the caller's own token: the bytes are read as the service user.
        Raises ImageUnusable where the content is not what the image claims, or hostile. An image without data
        or in a format that is not ours comes back as it is: `image_checks` has the sentences for those.
        """
        if image.status != "active" or image.disk_format not in FORMATS or not image.size:
            return image
        key = (image.id, image.digest)
        if key not in self._verdicts:
            verdict = await self._judge(image)
            if len(self._verdicts) >= MOST_VERDICTS:
                del self._verdicts[next(iter(self._verdicts))]
            self._verdicts[key] = verdict
        known = self._verdicts[key]
        if isinstance(known, str):
            raise ImageUnusable(known)
        return replace(image, virtual_size=known)

    @asynccontextmanager
    async def download(
        self, image_id: str, *, first: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes of an image as chunks of CHUNK_SIZE, read as the service user.

            async with glance.download(image_id) as chunks:
                async for chunk in chunks: …

        `first` asks for no more than so many bytes; a store that can't do that sends everything. Raises
        ImageNotFound where the image or its data is gone.
        """
        headers = {"X-Auth-Token": await self._identity.token(), "Accept-Encoding": "identity"}
        if first is not None:
            headers["Range"] = f"bytes=0-{first - 1}"
        renewed = False
        while True:
            async with self._get(image_id, "/file", headers=headers) as response:
                if response.status_code == codes.UNAUTHORIZED and not renewed:
                    headers["X-Auth-Token"] = await self._identity.renew()
                    renewed = True
                elif response.status_code == codes.BAD_REQUEST and "Range" in headers:
                    del headers["Range"]
                else:
                    _raise_for(response, image_id)
                    yield response.aiter_raw(CHUNK_SIZE)
                    return

    async def endpoint(self) -> str:
        """Where the catalogue says that Glance is, without a version."""
        return (await self._identity.endpoint("image")).removesuffix("/v2")

    async def request(self, method: str, path: str, token: str, **content: Any) -> httpx.Response:
        """Glance's own answer to the owner of `token`; `path` begins after the version.

        Raises Unauthenticated where Glance refuses the token.
        """
        url = f"{await self.endpoint()}/v2/{path}"
        headers = {"X-Auth-Token": token, **content.pop("headers", {})}
        try:
            response = await self._http.request(method, url, headers=headers, timeout=TIMEOUT, **content)
        except httpx.HTTPError as error:
            LOG.warning("No answer from Glance, %s %s: %r", method, url, error)
            raise Unavailable("The image service does not answer.") from error
        if response.status_code == codes.UNAUTHORIZED:
            raise Unauthenticated
        return response

    async def create_image(self, record: dict[str, Any], token: str) -> str:
        """Make an image that has no data yet; returns its id. `record` is Glance's own, properties beside its
        fields. Raises Invalid and Forbidden (its quota, too) with Glance's reason.
        """
        response = await self.request("POST", "images", token, json=record)
        if response.status_code == codes.BAD_REQUEST:
            raise Invalid(f"The image service refuses the image: {_reason(response)}")
        if response.status_code in {codes.FORBIDDEN, codes.REQUEST_ENTITY_TOO_LARGE}:
            raise Forbidden(f"The image service refuses the image: {_reason(response)}")
        _raise_for(response, "")
        image_id: str = response.json()["id"]
        return image_id

    async def look(self, image_id: str) -> Image:
        """The image as the service user sees it. Raises ImageNotFound."""
        response = await self._as_service("GET", f"images/{image_id}")
        _raise_for(response, image_id)
        return _image_of(response.json())

    async def upload(self, image_id: str, file: Path) -> None:
        """Give an image its data, as the service user. Raises ImageNotFound where it is gone."""
        size = (await asyncio.to_thread(file.stat)).st_size
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        response = await self._as_service(
            "PUT", f"images/{image_id}/file", headers=headers, content=_Chunks(file)
        )
        if response.status_code != codes.NO_CONTENT:
            _raise_for(response, image_id)

    async def discard(self, image_id: str) -> None:
        """Delete an image, as the service user. One that is gone is no error."""
        response = await self._as_service("DELETE", f"images/{image_id}")
        if response.status_code != codes.NOT_FOUND and not response.is_success:
            raise Unavailable(f"The image service keeps the image {image_id}: {response.status_code}")

    async def _as_service(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            return await self.request(method, path, await self._identity.token(), **content)
        except Unauthenticated:
            return await self.request(method, path, await self._identity.renew(), **content)

    async def _judge(self, image: Image) -> int | str:
        head = b""
        async with self.download(image.id, first=HEAD_SIZE) as chunks:
            async for chunk in chunks:
                head += chunk
                if len(head) >= HEAD_SIZE:
                    break
        try:
            return inspect_head(image.id, head[:HEAD_SIZE], disk_format=image.disk_format, size=image.size)
        except ImageUnusable as error:
            return error.message

    @asynccontextmanager
    async def _get(
        self, image_id: str, part: str = "", *, headers: dict[str, str]
    ) -> AsyncIterator[httpx.Response]:
        url = f"{await self.endpoint()}/v2/images/{quote(image_id, safe='')}{part}"
        try:
            async with self._http.stream("GET", url, headers=headers, timeout=TIMEOUT) as response:
                yield response
        except httpx.HTTPError as error:
            LOG.warning("No answer from Glance, GET %s: %r", url, error)
            raise Unavailable("The image service does not answer.") from error


class _Chunks:
    """A file's bytes, as often as they are asked for."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with await asyncio.to_thread(self._file.open, "rb") as opened:
            while chunk := await asyncio.to_thread(opened.read, CHUNK_SIZE):
                yield chunk


def _reason(response: httpx.Response) -> str:
    """Glance's explanation, out of the page that it sends."""
    text = re.sub(r"<head>.*</head>|<[^>]*>", " ", response.text, flags=re.DOTALL)
    return " ".join(text.split())[:255]


def _raise_for(response: httpx.Response, image_id: str) -> None:
    """Raise what an answer means, unless it brings what was asked for."""
    # 204 is Glance's answer where the record of an image exists and its data is gone.
    if response.status_code in {codes.NOT_FOUND, codes.FORBIDDEN, codes.NO_CONTENT}:
        raise ImageNotFound(image_id)
    if not response.is_success:
        LOG.warning("Glance answered %s to GET %s", response.status_code, response.url)
        raise Unavailable("The image service can't answer now.")


def _image_of(answer: dict[str, Any]) -> Image:
    return Image(
        id=answer["id"],
        name=answer.get("name") or "",
        status=answer["status"],
        disk_format=answer.get("disk_format") or "",
        container_format=answer.get("container_format") or "",
        size=answer.get("size") or 0,
        virtual_size=answer.get("virtual_size"),
        min_ram=answer.get("min_ram") or 0,
        min_disk=answer.get("min_disk") or 0,
        digest=_digest_of(answer),
        visibility=answer.get("visibility") or "",
        owner=answer.get("owner") or "",
        properties={
            key: str(value) for key, value in answer.items() if key not in CORE and value is not None
        },
    )


def _digest_of(answer: dict[str, Any]) -> str:
    """The image's multihash. An image from before Glance had it (Rocky) has only an MD5 checksum."""
    for algorithm, value in (
        (answer.get("os_hash_algo"), answer.get("os_hash_value")),
        ("md5", answer.get("checksum")),
    ):
        # A digest becomes a file's name on a host, so what is not plainly one is none.
        if algorithm in hashlib.algorithms_guaranteed and re.fullmatch(r"[0-9a-f]{32,}", value or ""):
            return f"{algorithm}:{value}"
    return ""
