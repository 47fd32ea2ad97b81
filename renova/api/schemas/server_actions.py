"""The bodies of POST /servers/{id}/action, but for rebuild, which has a module of its own.

Source: Nova's API reference, "Servers - run an action", and its JSON schemas.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from renova.api.marked import Request
from renova.api.microversions import since, until
from renova.api.schemas.sent import Sent


class StartServer(Request):
    """Nova documents null and takes anything."""

    start: Annotated[Any, Field(alias="os-start")]


class StopServer(Request):
    """Nova documents null and takes anything."""

    stop: Annotated[Any, Field(alias="os-stop")]


class Lock(Request):
    locked_reason: Sent[Annotated[str, Field(min_length=1, max_length=255)]] = None


class LockServer(Request):
    """Nova documents null and takes anything, up to 2.72."""

    anything: Annotated[Any, Field(alias="lock"), until("2.72")] = None
    details: Annotated[Lock | None, Field(alias="lock"), since("2.73")] = None


class UnlockServer(Request):
    """Nova documents null and takes anything."""

    unlock: Any


class RebootKind(Request):
    type: Literal["HARD", "Hard", "hard", "SOFT", "Soft", "soft"]


class RebootServer(Request):
    reboot: RebootKind


def _number(value: Any) -> Any:
    """Nova takes numbers in strings too, and holds them to the same minimum."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value) else value


class ConsoleLength(Request):
    """How many lines from the end; absent, null or -1 is all that the console log still holds."""

    length: Annotated[Annotated[int, Field(ge=-1)] | None, BeforeValidator(_number)] = None


class GetConsoleOutput(Request):
    wanted: Annotated[ConsoleLength, Field(alias="os-getConsoleOutput")]
