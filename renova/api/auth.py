"""Tokens: checked by Keystone through keystonemiddleware, remembered for at most a minute.

Only `AuthProtocol.fetch_token` and its check of access rules are used: the WSGI face of that class has no
place in an asyncio program. `fetch_token` blocks, so a token that is not remembered is checked in a thread,
once, however many requests carry it. A remembered token costs a dictionary look-up.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Protocol

import webob.exc
from keystoneauth1 import exceptions as keystone_errors
from keystonemiddleware.auth_token import AuthProtocol, InvalidToken, list_opts
from oslo_config import cfg

from renova.errors import Forbidden, Unauthenticated, Unavailable

REMEMBERED_SECONDS = 60.0  # How long a revoked token may still be taken for good.
REMEMBERED_TOKENS = 4096
# The middleware would wait for ever, with a thread, for a Keystone that takes a request and never answers. An
# operator's http_connect_timeout wins; it tries again as often as http_request_max_retries says.
KEYSTONE_SECONDS = 10


@dataclass(frozen=True)
class Token:
    """What Keystone says of a token. `expires_at` is in seconds as time.time(); `raw` is its whole answer."""

    user_id: str
    project_id: str
    roles: frozenset[str]
    expires_at: float
    raw: dict[str, Any]


class Tokens(Protocol):
    async def check(self, secret: str | None, method: str, path: str) -> Token:
        """Who a token (X-Auth-Token) stands for.

        `method` and `path` matter to application credentials with access rules.

        Raises Unauthenticated (401), Forbidden (403) for a token without a project, Unavailable (503).
        """


class KeystoneTokens:
    """Tokens as `[keystone_authtoken]` says."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        for group, options in list_opts():
            conf.register_opts(options, group)
        conf.set_default("http_connect_timeout", KEYSTONE_SECONDS, "keystone_authtoken")
        # The middleware's own cache is off: it would keep a revoked token for five minutes. Access rules are
        # about a service of the catalogue, and ours is of this type.
        overrides = {"token_cache_time": "-1", "service_type": "compute"}
        self._keystone = AuthProtocol(None, {"oslo_config_config": conf, **overrides})
        # The middleware does this at its first WSGI request, which never comes here.
        self._keystone._token_cache.initialize({})
        self._cache = TokenCache(self._keystone.fetch_token)

    async def check(self, secret: str | None, method: str, path: str) -> Token:
        if not secret or not secret.strip():
            raise Unauthenticated
        try:
            token = await self._cache.get(secret.strip())
            # A request as the middleware knows it; no service speaks for a user here.
            request = SimpleNamespace(method=method, path=path, service_token=None)
            self._keystone.validate_allowed_request(request, token.raw)
        except InvalidToken:
            raise Unauthenticated from None
        except (webob.exc.HTTPServiceUnavailable, keystone_errors.ClientException) as error:
            raise Unavailable("The Keystone service is temporarily unavailable.") from error
        if not token.project_id:
            raise Forbidden("The token is not scoped to a project.")
        return token


class TokenCache:
    """Remembers what `fetch` said of up to `size` tokens, for REMEMBERED_SECONDS at most.

    `fetch` blocks: a token's secret in, Keystone's answer out.
    """

    def __init__(
        self,
        fetch: Callable[[str], dict[str, Any]],
        *,
        now: Callable[[], float] = time.time,
        size: int = REMEMBERED_TOKENS,
    ) -> None:
        self._fetch = fetch
        self._now = now
        self._size = size
        # By digest, so that a dump of the process's memory holds no more secrets than it must.
        self._known: OrderedDict[bytes, tuple[Token, float]] = OrderedDict()
        self._under_way: dict[bytes, asyncio.Task[Token]] = {}

    async def get(self, secret: str) -> Token:
        """Raises what `fetch` raises, and InvalidToken for one that has expired or makes no sense."""
        digest = hashlib.sha256(secret.encode()).digest()
        known = self._known.get(digest)
        if known is not None and self._now() < known[1]:
            self._known.move_to_end(digest)
            return known[0]
        task = self._under_way.get(digest)
        if task is None:
            task = asyncio.create_task(self._learn(digest, secret))
            self._under_way[digest] = task
            task.add_done_callback(lambda _: self._under_way.pop(digest, None))
        # One client that hangs up must not fail the others that wait for the same answer.
        return await asyncio.shield(task)

    async def _learn(self, digest: bytes, secret: str) -> Token:
        token = _token(await asyncio.to_thread(self._fetch, secret))
        now = self._now()
        if token.expires_at <= now:
            self._known.pop(digest, None)
            raise InvalidToken("Token authorization failed")
        self._known[digest] = (token, min(token.expires_at, now + REMEMBERED_SECONDS))
        self._known.move_to_end(digest)
        while len(self._known) > self._size:
            self._known.popitem(last=False)
        return token


def _token(answer: dict[str, Any]) -> Token:
    try:
        raw = answer["token"]
        return Token(
            user_id=raw["user"]["id"],
            project_id=raw.get("project", {}).get("id", ""),
            roles=frozenset(role["name"] for role in raw.get("roles", [])),
            expires_at=datetime.fromisoformat(raw["expires_at"]).timestamp(),
            raw=raw,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidToken("Token authorization failed") from error
