"""The API in the test's own process over a real database, with the agent's part played by the test."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import select, text

from renova.agent.operations import operation_of
from renova.compute.hosts import AGENT
from renova.db.session import Sessions, make_engine, make_sessions
from renova.db.tables import Action, KeyPair, Service
from tests import told
from tests.api_client import PROJECT, MadeUpTokens, api_client, configure
from tests.fake_glance import CALLER, FakeGlance
from tests.sample_images import MIB, qcow2

HOST = "host-1"
TABLES = ("servers", "generations", "ports", "actions", "events", "key_pairs", "procrastinate_jobs")


class Api:
    """`call` is a member's request; `image` and `other_image` are in Glance and fit the flavor "1".

    Whatever it answers is held to the OpenAPI document of its version, unless `held` is False.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        sessions: Sessions,
        glance: FakeGlance,
        tokens: MadeUpTokens,
        *,
        held: bool,
    ):
        self.held = held
        self.http = http
        self.sessions = sessions
        self.glance = glance
        self.tokens = tokens
        self.image, self.other_image = str(uuid4()), str(uuid4())
        for image_id in (self.image, self.other_image):
            glance.add(image_id, qcow2(64 * MIB))
        # The fake Glance knows one caller by its token; others see no image.
        self.member = tokens.give("member", user_id=CALLER)
        self.reader = tokens.give("reader")
        self.admin = tokens.give("admin")
        self.stranger = tokens.give("member", user_id="stranger", project_id="f" * 32)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        version: str = "2.1",
        who: dict[str, str] | None = None,
        prefix: str = f"/v2.1/{PROJECT}",
    ) -> httpx.Response:
        headers = {"OpenStack-API-Version": f"compute {version}", **(self.member if who is None else who)}
        content = None if body is None else json.dumps(body)
        answer = await self.http.request(method, prefix + path, content=content, headers=headers)
        if self.held and "OpenStack-API-Version" in answer.headers:
            spoken = answer.headers["OpenStack-API-Version"].removeprefix("compute ")
            complaint = told.at(spoken).complaint(method, path.partition("?")[0], answer)
            assert complaint is None, complaint
        return answer

    async def get(self, path: str, **how: Any) -> dict[str, Any]:
        answer = await self.call("GET", path, **how)
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    async def new(self, name: str = "web", *, finished: bool = True, **fields: Any) -> str:
        """The id of a new server, ACTIVE unless `finished` is False."""
        server = {"name": name, "imageRef": self.image, "flavorRef": "1", **fields}
        version = "2.52" if "tags" in fields else "2.1"
        if version == "2.52":
            server.setdefault("networks", "auto")
        answer = await self.call("POST", "/servers", {"server": server}, version=version)
        assert answer.status_code == 202, answer.text
        server_id: str = answer.json()["server"]["id"]
        if finished:
            await self.finish(server_id)
        return server_id

    async def act(self, server_id: str, name: str, body: Any = None, **how: Any) -> httpx.Response:
        return await self.call("POST", f"/servers/{server_id}/action", {name: body}, **how)

    async def finish(self, server_id: str) -> None:
        """What an agent does last: commit the open action of a server."""
        async with self.sessions.begin() as session:
            action = await session.scalar(
                select(Action).where(Action.server_id == server_id, Action.finished_at.is_(None))
            )
            assert action is not None
            operation = operation_of(action)
            assert await operation.commit(session, action, operation.tasks)
            action.finished_at = datetime.now(UTC)

    async def finish_rebuild(self, server_id: str) -> None:
        """`finish`, and what an agent's steps say of the disks and the action before it."""
        async with self.sessions.begin() as session:
            action = await session.scalar(
                select(Action).where(Action.server_id == server_id, Action.finished_at.is_(None))
            )
            assert action is not None
            for statement in (
                "UPDATE generations SET prepared_at = now() WHERE server_id = :id",
                "UPDATE actions SET settled_at = now() WHERE server_id = :id",
                "UPDATE servers SET generation = :to WHERE id = :id",
            ):
                await session.execute(text(statement), {"id": server_id, "to": action.detail["to"]})
        await self.finish(server_id)

    async def set(self, server_id: str, **columns: str | None) -> None:
        """Change a server's row behind the API's back."""
        assignments = ", ".join(f"{column} = :{column}" for column in columns)
        async with self.sessions.begin() as session:
            await session.execute(
                text(f"UPDATE servers SET {assignments} WHERE id = :id"), {**columns, "id": server_id}
            )

    async def rows(self) -> dict[str, list[str]]:
        """Everything that a request could have changed."""
        async with self.sessions.begin() as session:
            return {
                table: list(await session.scalars(text(f"SELECT t::text FROM {table} t ORDER BY 1")))
                for table in TABLES
            }


@asynccontextmanager
async def api_without_agent(
    database: str, directory: Path, options: str = "", *, held: bool = True
) -> AsyncIterator[Api]:
    engine = make_engine(database)
    sessions = make_sessions(engine)
    now = datetime.now(UTC)
    async with sessions.begin() as session:
        session.add(
            Service(
                host=HOST, binary=AGENT, version="0", address="unix:/nowhere", architecture="x86_64",
                started_at=now, seen_at=now,
            )
        )  # fmt: skip
        session.add(KeyPair(user_id=CALLER, name="key", public_key="ssh-ed25519 AAAA", fingerprint="00:00"))
    glance, tokens = FakeGlance(), MadeUpTokens()
    conf = configure(directory, options)
    async with api_client(conf, tokens, database=database, glance=glance) as http:
        yield Api(http, sessions, glance, tokens, held=held)
    await engine.dispose()
