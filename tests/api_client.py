"""The API in the test's own process, with tokens that the test makes up: `tokens.give("reader")`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from oslo_config import cfg

from renova import conf as configuration
from renova import jobs
from renova.api.app import build, every_route
from renova.api.auth import Token
from renova.api.policies import Policy
from renova.api.requests import Parts, Routes
from renova.db.session import make_engine, make_sessions, make_single
from renova.errors import Unauthenticated
from tests.fake_glance import FakeGlance

PROJECT = "0a1b2c3d4e5f40718293a4b5c6d7e8f9"
ROLES = {
    "reader": frozenset({"reader"}),
    "member": frozenset({"reader", "member"}),
    "admin": frozenset({"reader", "member", "admin"}),
}
NO_DATABASE = "postgresql+psycopg://nobody@127.0.0.1:1/none"


class MadeUpTokens:
    """Keystone's part: the secret of a token is its user's id."""

    def __init__(self) -> None:
        self.known: dict[str, Token] = {}

    def give(self, role: str, *, user_id: str | None = None, project_id: str = PROJECT) -> dict[str, str]:
        """The header of a user with this role."""
        user_id = user_id or f"the-{role}"
        self.known[user_id] = Token(user_id, project_id, ROLES[role], expires_at=float("inf"), raw={})
        return {"X-Auth-Token": user_id}

    async def check(self, secret: str | None, method: str, path: str) -> Token:
        if secret not in self.known:
            raise Unauthenticated
        return self.known[secret]


def configure(directory: Path, text: str = "") -> cfg.ConfigOpts:
    file = directory / "renova.conf"
    file.write_text(f"[keystone_authtoken]\nwww_authenticate_uri = http://keystone.example/v3\n{text}")
    return configuration.load([file])


@asynccontextmanager
async def api_client(
    conf: cfg.ConfigOpts,
    tokens: MadeUpTokens,
    *,
    database: str = NO_DATABASE,
    routes: Routes | None = None,
    glance: FakeGlance | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    engine = make_engine(database)
    parts = Parts(
        conf=conf,
        sessions=make_sessions(engine),
        single=make_single(engine),
        jobs=jobs.make_app(database),
        glance=(glance or FakeGlance()).client,
        policy=Policy(conf),
    )
    app = build(parts, tokens, routes or every_route())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://nova.example") as client:
        yield client
    await engine.dispose()
