"""A Glance that a test can hold up, break and count, behind the real client of ours."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx

from renova.clients.glance import Glance

CALLER = "token-of-the-caller"
SERVICE = "token-of-the-service-user"
# What an image's data decides.
_OF_DATA = {"status", "size", "checksum", "os_hash_algo", "os_hash_value"}


class FakeIdentity:
    """The service user's token; `stale` ones are refused by the fake Glance until they are renewed."""

    def __init__(self) -> None:
        self.current = SERVICE

    async def token(self) -> str:
        return self.current

    async def renew(self) -> str:
        self.current = SERVICE
        return self.current

    async def endpoint(self, service_type: str) -> str:
        assert service_type == "image"
        return "http://glance.example/image"


class FakeGlance:
    """`client` is ours, talking to this."""

    def __init__(self) -> None:
        self.identity = FakeIdentity()
        self.records: dict[str, dict[str, Any]] = {}
        self.data: dict[str, bytes] = {}
        self.hidden: set[str] = set()
        self.ranges = True
        self.down = False
        self.sent: list[tuple[str, int]] = []
        """(image id, bytes) of every answer with data."""
        self.hold = asyncio.Event()
        """Clear it, and the second half of every image waits for it."""
        self.hold.set()
        self.half_sent = asyncio.Event()
        self.client = Glance(self.identity, httpx.AsyncClient(transport=httpx.MockTransport(self._answer)))

    def add(
        self, image_id: str, data: bytes, disk_format: str | None = "qcow2", **record: object
    ) -> dict[str, Any]:
        self.data[image_id] = data
        self.records[image_id] = {
            "id": image_id,
            "name": image_id,
            "status": "active",
            "visibility": "private",
            "owner": "project",
            "disk_format": disk_format,
            "container_format": "bare",
            "size": len(data),
            "virtual_size": None,
            "min_ram": 0,
            "min_disk": 0,
            "checksum": hashlib.md5(data).hexdigest(),
            "os_hash_algo": "sha512",
            "os_hash_value": hashlib.sha512(data).hexdigest(),
            "os_hidden": False,
            "protected": False,
            "tags": [],
            "created_at": "2026-01-02T03:04:05Z",
            "updated_at": "2026-01-02T03:04:06Z",
            "file": f"/v2/images/{image_id}/file",
            "schema": "/v2/schemas/image",
        } | record
        return self.records[image_id]

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("refused", request=request)
        token = request.headers["X-Auth-Token"]
        if token not in {CALLER, SERVICE}:
            return httpx.Response(401)
        _, _, image_id, *file = f"{request.url.path.removeprefix('/image').strip('/')}/".split("/")
        if not image_id:
            return self._page(request) if request.method == "GET" else self._new(request)
        if image_id not in self.records or (image_id in self.hidden and token != SERVICE):
            return httpx.Response(404)
        if file == [""]:
            return self._record(image_id, request)
        if request.method == "PUT":
            return await self._upload(image_id, request)
        return self._data(image_id, request)

    def _new(self, request: httpx.Request) -> httpx.Response:
        record = self.add(str(uuid4()), b"", **json.loads(request.content))
        record |= {"status": "queued", "os_hash_algo": None, "os_hash_value": None, "checksum": None}
        return httpx.Response(201, json=record)

    async def _upload(self, image_id: str, request: httpx.Request) -> httpx.Response:
        if self.records[image_id]["status"] != "queued":
            return httpx.Response(409)
        record = self.records[image_id]
        asked_for = {key: value for key, value in record.items() if key not in _OF_DATA}
        self.add(image_id, await request.aread(), **asked_for)
        return httpx.Response(204)

    def _page(self, request: httpx.Request) -> httpx.Response:
        """Two images at most, whatever the limit; filters are for equality."""
        wanted = dict(request.url.params)
        limit, marker = int(wanted.pop("limit")), wanted.pop("marker", None)
        if marker is not None and marker not in self.records:
            return httpx.Response(400)
        shown = [
            record
            for record in self.records.values()
            if record["id"] not in self.hidden
            and all(str(record.get(name)) == value for name, value in wanted.items())
        ]
        ids = [record["id"] for record in shown]
        first = 0 if marker is None else ids.index(marker) + 1
        page = shown[first : first + min(limit, 2)]
        answer: dict[str, Any] = {"images": page}
        if first + len(page) < len(shown):
            query = httpx.QueryParams({**wanted, "limit": limit, "marker": page[-1]["id"]})
            answer["next"] = f"/v2/images?{query}"
        return httpx.Response(200, json=answer)

    def _record(self, image_id: str, request: httpx.Request) -> httpx.Response:
        record = self.records[image_id]
        if request.method != "GET" and record["protected"]:
            return httpx.Response(403)
        if request.method == "DELETE":
            del self.records[image_id]
            return httpx.Response(204)
        if request.method == "PATCH":
            assert request.headers["Content-Type"] == "application/openstack-images-v2.1-json-patch"
            for change in json.loads(request.content):
                name = change["path"].removeprefix("/").replace("~1", "/").replace("~0", "~")
                if change["op"] == "remove":
                    del record[name]
                else:
                    record[name] = change["value"]
        return httpx.Response(200, json=record)

    def _data(self, image_id: str, request: httpx.Request) -> httpx.Response:
        data = self.data[image_id]
        if "Range" in request.headers:
            if not self.ranges:
                return httpx.Response(400)
            data = data[: int(request.headers["Range"].removeprefix("bytes=0-")) + 1]
        self.sent.append((image_id, len(data)))
        return httpx.Response(200, content=self._halves(data))

    async def _halves(self, data: bytes) -> AsyncIterator[bytes]:
        yield data[: len(data) // 2]
        self.half_sent.set()
        await self.hold.wait()
        yield data[len(data) // 2 :]
