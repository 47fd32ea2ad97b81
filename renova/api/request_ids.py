"""Request ids: in every answer and every line of the log, and the names of a server's actions."""

import logging
import re
import uuid

from starlette.requests import Request

log = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"req-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def new_request_id() -> str:
    """An id of our own, whatever the client has sent.

    A client's X-OpenStack-Request-ID is a global id that follows its work through several services: it is
    logged and never taken for ours, since it is not unique here.
    """
    return f"req-{uuid.uuid4()}"


def log_answer(request: Request, request_id: str, status: int, seconds: float) -> None:
    log.info(
        "%s %s %s: %d in %.3f s (global id: %s)",
        request_id,
        request.method,
        request.scope["path"],
        status,
        seconds,
        _global_id(request) or "none",
    )


def headers_of(request_id: str) -> dict[str, str]:
    """What tells a client the id of its request."""
    return {"x-openstack-request-id": request_id, "x-compute-request-id": request_id}


def _global_id(request: Request) -> str | None:
    sent = request.headers.get("x-openstack-request-id", "")
    return sent if REQUEST_ID.fullmatch(sent) else None
