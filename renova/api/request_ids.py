"""Request ids: in every answer and every line of the log, and the names of a server's actions."""

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"req-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class RequestIds:
    """Gives each request an id of our own, in `scope["request_id"]`, and logs how it was answered.

    A client's X-OpenStack-Request-ID is a global id that follows its work through several services: it is
    logged and never taken for ours, since it is not unique here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope["request_id"] = f"req-{uuid.uuid4()}"
        began = time.monotonic()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-openstack-request-id"] = request_id
                headers["x-compute-request-id"] = request_id
                taken = time.monotonic() - began
                log.info(
                    "%s %s %s: %d in %.3f s (global id: %s)",
                    request_id,
                    scope["method"],
                    scope["path"],
                    message["status"],
                    taken,
                    _global_id(scope) or "none",
                )
            await send(message)

        await self._app(scope, receive, send_with_id)


def _global_id(scope: Scope) -> str | None:
    sent = Headers(scope=scope).get("x-openstack-request-id", "")
    return sent if REQUEST_ID.fullmatch(sent) else None
