"""A client's connection to the compute API that takes little of the machine: the cloud runs there too."""

import http.client
import json
import time
from typing import Any
from urllib.parse import urlsplit

# With details of events for admins.
VERSION = "2.84"


class Connection:
    """One connection that is kept alive, and one token. Not for several threads at once."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._path = parts.path
        self._http = http.client.HTTPConnection(parts.netloc, timeout=120)
        self._headers = {
            "X-Auth-Token": token,
            "OpenStack-API-Version": f"compute {VERSION}",
            "Content-Type": "application/json",
        }

    def call(self, method: str, path: str, body: Any = None) -> tuple[bytes, str]:
        """What is answered, and the request's id. Anything but success ends the run."""
        content = None if body is None else json.dumps(body).encode()
        self._http.request(method, self._path + path, content, self._headers)
        answer = self._http.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {data.decode()}")
        return data, answer.headers.get("x-openstack-request-id", "")

    def get(self, path: str) -> Any:
        return json.loads(self.call("GET", path)[0])

    def seconds(self, method: str, path: str, body: Any = None) -> float:
        """How long one request takes."""
        begun = time.monotonic()
        self.call(method, path, body)
        return time.monotonic() - begun

    def close(self) -> None:
        self._http.close()
