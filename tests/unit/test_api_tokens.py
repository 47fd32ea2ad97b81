"""The cache of tokens in front of Keystone: how often it asks, and how long it believes."""

import asyncio
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from keystonemiddleware.auth_token import InvalidToken

from renova.api.auth import REMEMBERED_SECONDS, TokenCache


class Keystone:
    """Counts who asks. Holds every answer up until `gate` is set."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.expires_at = 10_000.0
        self.began = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.failure: Exception | None = None

    def fetch(self, secret: str) -> dict[str, Any]:
        self.asked.append(secret)
        self.began.set()
        assert self.gate.wait(timeout=30)
        if self.failure:
            raise self.failure
        return {
            "token": {
                "user": {"id": f"user of {secret}"},
                "project": {"id": "project"},
                "roles": [{"name": "member"}],
                "expires_at": datetime.fromtimestamp(self.expires_at, UTC).isoformat().replace("+00:00", "Z"),
            }
        }


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def keystone() -> Keystone:
    return Keystone()


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_a_token_is_asked_for_once_and_again_after_a_minute(keystone: Keystone, clock: Clock) -> None:
    cache = TokenCache(keystone.fetch, now=clock)
    token = await cache.get("a")
    assert (token.user_id, token.project_id, token.roles) == ("user of a", "project", frozenset({"member"}))
    clock.now += REMEMBERED_SECONDS - 1
    assert await cache.get("a") == token
    assert keystone.asked == ["a"]
    clock.now += 1
    await cache.get("a")
    assert keystone.asked == ["a", "a"]


async def test_a_token_is_never_believed_past_its_end(keystone: Keystone, clock: Clock) -> None:
    keystone.expires_at = clock.now + 10
    cache = TokenCache(keystone.fetch, now=clock)
    await cache.get("a")
    clock.now += 10
    with pytest.raises(InvalidToken):
        await cache.get("a")
    with pytest.raises(InvalidToken):
        await cache.get("a")
    assert len(keystone.asked) == 3


async def test_many_requests_with_one_new_token_ask_once(keystone: Keystone, clock: Clock) -> None:
    keystone.gate.clear()
    cache = TokenCache(keystone.fetch, now=clock)
    waiting = [asyncio.create_task(cache.get("a")) for _ in range(20)]
    await asyncio.to_thread(keystone.began.wait, 30)
    waiting[0].cancel()  # The client that came first hangs up.
    keystone.gate.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert {token.user_id for token in answers[1:] if not isinstance(token, BaseException)} == {"user of a"}
    assert keystone.asked == ["a"]


async def test_a_failure_is_told_to_all_who_wait_and_not_remembered(keystone: Keystone, clock: Clock) -> None:
    keystone.failure = InvalidToken("no")
    cache = TokenCache(keystone.fetch, now=clock)
    answers = await asyncio.gather(*(cache.get("a") for _ in range(3)), return_exceptions=True)
    assert all(isinstance(answer, InvalidToken) for answer in answers)
    keystone.failure = None
    assert (await cache.get("a")).user_id == "user of a"


async def test_the_cache_is_bounded_and_forgets_what_was_not_used(keystone: Keystone, clock: Clock) -> None:
    cache = TokenCache(keystone.fetch, now=clock, size=2)
    await cache.get("a")
    await cache.get("b")
    await cache.get("a")
    await cache.get("c")
    await cache.get("a")
    assert keystone.asked == ["a", "b", "c"]
    await cache.get("b")
    assert keystone.asked == ["a", "b", "c", "b"]


async def test_an_answer_that_makes_no_sense_is_no_token(clock: Clock) -> None:
    with pytest.raises(InvalidToken):
        await TokenCache(lambda _: {"token": {"user": {}}}, now=clock).get("a")
