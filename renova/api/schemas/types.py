"""Types that several requests share, with Nova's rules and words (its validation/parameter_types.py)."""

import base64
import binascii
import ipaddress
import re
import unicodedata
import uuid
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationInfo
from pydantic_core import PydanticCustomError

from renova.api.marked import Query


def wrong(message: str, **facts: Any) -> PydanticCustomError:
    """An error whose sentence is `message`, for what no constraint of pydantic says."""
    return PydanticCustomError("rule", "{message}", {"message": message.format(**facts)})


def is_printable(character: str) -> bool:
    """Neither a control code nor a space other than a horizontal one: Nova's rule for names."""
    category = unicodedata.category(character)
    return not category.startswith("C") and (not category.startswith("Z") or category == "Zs")


def _name(value: str, info: ValidationInfo) -> str:
    if (info.context or {}).get("legacy"):
        value = value.strip()  # /v2 lets names have spaces around them and drops those.
    if value and (value != value.strip() or not all(map(is_printable, value))):
        raise PydanticCustomError(
            "name",
            "An invalid 'name' value was provided. The name must be: printable characters. "
            "Can not start or end with whitespace.",
        )
    return value


Name = Annotated[str, AfterValidator(_name), StringConstraints(min_length=1, max_length=255)]


def _description(value: str | None) -> str | None:
    if value is not None and not all(map(is_printable, value)):
        raise wrong("{value!r} does not match the pattern of printable characters", value=value)
    return value


Description = Annotated[
    Annotated[str, StringConstraints(max_length=255)] | None, AfterValidator(_description)
]

_TRUE = {"True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes"}
_FALSE = {"False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no"}


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in _TRUE | _FALSE:
        return value in _TRUE
    raise wrong("{value!r} is not one of [True, False]", value=value)


Boolean = Annotated[bool, BeforeValidator(_boolean)]


def _integer(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"[0-9]+", value, re.ASCII) and len(value) < 20:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        raise wrong("{value!r} does not match '^[0-9]*$'", value=value)
    raise wrong("{value!r} is not of type 'integer', 'string'", value=value)


MAX_INTEGER = 0x7FFFFFFF  # What the database's integer columns hold.
PositiveInteger = Annotated[int, BeforeValidator(_integer), Field(ge=1, le=MAX_INTEGER)]
NonNegativeInteger = Annotated[int, BeforeValidator(_integer), Field(ge=0, le=MAX_INTEGER)]


def _uuid(value: str) -> str:
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise wrong("{value!r} is not a 'uuid'", value=value) from None


Uuid = Annotated[str, AfterValidator(_uuid)]


def _ipv4(value: str) -> str:
    try:
        return str(ipaddress.IPv4Address(value))
    except ValueError:
        raise wrong("{value!r} is not a 'ipv4'", value=value) from None


def _ipv6(value: str) -> str:
    try:
        return str(ipaddress.IPv6Address(value))
    except ValueError:
        raise wrong("{value!r} is not a 'ipv6'", value=value) from None


Ipv4 = Annotated[str, AfterValidator(_ipv4)]
Ipv6 = Annotated[str, AfterValidator(_ipv6)]


def _base64(value: str) -> str:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise wrong("{value!r} is not a 'base64'", value=value) from None
    return value


Base64 = Annotated[str, AfterValidator(_base64)]

_KEY = re.compile(r"[a-zA-Z0-9-_:. ]{1,255}")


def _metadata(value: dict[str, str]) -> dict[str, str]:
    unknown = sorted(key for key in value if not _KEY.fullmatch(key))
    if unknown:
        verb = "does" if len(unknown) == 1 else "do"
        keys = ", ".join(map(repr, unknown))
        raise wrong(
            "{keys} {verb} not match any of the regexes: '^[a-zA-Z0-9-_:. ]{{1,255}}$'", keys=keys, verb=verb
        )
    return value


Metadata = Annotated[dict[str, Annotated[str, StringConstraints(max_length=255)]], AfterValidator(_metadata)]


class Paged(Query):
    """A list that comes in pages."""

    limit: NonNegativeInteger | None = None
    marker: str | None = None


def one_of(names: Iterable[str]) -> AfterValidator:
    """A string that is one of these, where they are known only from elsewhere (the sort keys of a list)."""
    allowed = sorted(names)

    def check(value: str) -> str:
        if value not in allowed:
            raise wrong("{value!r} is not one of {allowed}", value=value, allowed=allowed)
        return value

    return AfterValidator(check)
