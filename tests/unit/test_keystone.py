"""The service user's token: fetched once for all, and an outage of Keystone told as such."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from renova import conf
from renova.clients.keystone import Identity
from renova.errors import Unavailable

CATALOGUE = [
    {
        "type": "image",
        "name": "glance",
        "id": "s1",
        "endpoints": [
            {
                "id": "e1",
                "interface": "public",
                "region": "RegionOne",
                "region_id": "RegionOne",
                "url": "http://glance.example/image/",
            }
        ],
    }
]


class FakeKeystone(ThreadingHTTPServer):
    """Gives token-1, token-2, … to whoever asks, as long as it is not `closed`."""

    issued = 0
    closed = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v3"


class Handler(BaseHTTPRequestHandler):
    server: FakeKeystone

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        version = {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": self.server.url}]}
        self._answer(200, {"version": version})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.closed:
            self._answer(401, {"error": {"code": 401, "message": "no", "title": "Unauthorized"}})
            return
        self.server.issued += 1
        now = datetime.now(UTC)
        token = {
            "methods": ["password"],
            "user": {"id": "u", "name": "renova", "domain": {"id": "default", "name": "Default"}},
            "issued_at": now.isoformat(),
            "expires_at": (now + timedelta(hours=1)).isoformat(),
            "catalog": CATALOGUE,
        }
        self._answer(201, {"token": token}, {"X-Subject-Token": f"token-{self.server.issued}"})

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def keystone() -> Iterator[FakeKeystone]:
    with FakeKeystone(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def identity(keystone: FakeKeystone, tmp_path: Path) -> Identity:
    file = tmp_path / "renova.conf"
    file.write_text(f"""
[keystone_authtoken]
auth_type = password
auth_url = {keystone.url}
username = renova
password = secret
user_domain_id = default
project_name = service
project_domain_id = default
""")
    return Identity(conf.load([file]))


async def test_all_who_want_a_token_at_once_share_one(identity: Identity, keystone: FakeKeystone) -> None:
    assert set(await asyncio.gather(*(identity.token() for _ in range(20)))) == {"token-1"}
    assert keystone.issued == 1


async def test_a_token_that_was_refused_is_replaced(identity: Identity) -> None:
    assert await identity.token() == "token-1"
    assert await identity.renew() == "token-2"
    assert await identity.token() == "token-2"


async def test_the_catalogue_says_where_a_service_is(identity: Identity) -> None:
    assert await identity.endpoint("image") == "http://glance.example/image"
    with pytest.raises(Unavailable, match="network"):
        await identity.endpoint("network")


async def test_a_keystone_that_refuses_the_service_user_is_an_outage(
    identity: Identity, keystone: FakeKeystone
) -> None:
    keystone.closed = True
    with pytest.raises(Unavailable):
        await identity.token()
    keystone.closed = False
    assert await identity.token() == "token-1"


async def test_no_keystone_at_all_is_an_outage(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await Identity(conf.load([])).token()


def test_an_agent_reads_the_service_user_as_the_api_does(tmp_path: Path) -> None:
    """Who checks tokens has these options from keystonemiddleware, an agent from us."""
    file = tmp_path / "renova.conf"
    for text in ("", "cafile = /ca.pem\ninsecure = true\ninterface = admin\nregion_name = north\n"):
        file.write_text(f"[keystone_authtoken]\n{text}")
        of_the_api, of_an_agent = conf.load([file]), conf.load([file], checks_tokens=False)
        names = [option.name for option in conf.KEYSTONE]
        assert names == ["cafile", "insecure", "interface", "region_name"]
        for name in names:
            assert of_an_agent.keystone_authtoken[name] == of_the_api.keystone_authtoken[name]
