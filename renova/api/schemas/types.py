"""Types that several requests share, with Nova's rules and words (its validation/parameter_types.py)."""

import base64
import binascii
import ipaddress
import re
import unicodedata
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from oslo_utils import timeutils
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
    if isinstance(value, str) and re.fullmatch(r"[0-9]+", value, re.ASCII):
        # Twenty digits are too many for everything; Python refuses to read some thousands of them.
        return int(value.lstrip("0")[:20] or "0")
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        fault = "does not match '^[0-9]*$'" if value else "is too short"
        raise wrong("{value!r} {fault}", value=value, fault=fault)
    raise wrong("{value!r} is not of type 'integer', 'string'", value=value)


MAX_INTEGER = 0x7FFFFFFF  # What the database's integer columns hold.
PositiveInteger = Annotated[int, BeforeValidator(_integer), Field(ge=1, le=MAX_INTEGER)]
NonNegativeInteger = Annotated[int, BeforeValidator(_integer), Field(ge=0, le=MAX_INTEGER)]
# As large as a client likes: no page is longer than the operator allows.
Limit = Annotated[int, BeforeValidator(_integer), Field(ge=0)]


def _uuid(value: str) -> str:
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise wrong("{value!r} is not a 'uuid'", value=value) from None


Uuid = Annotated[str, AfterValidator(_uuid)]


def last_part(reference: str) -> str:
    """The id of an image or a flavor, of a URL that ends in it."""
    try:
        return urlsplit(reference).path.rsplit("/", 1)[-1]
    except ValueError:
        return reference  # No URL, and no id either: what looks for it says so.


def _ipv4(value: str) -> str:
    try:
        return str(ipaddress.IPv4Address(value))
    except ValueError:
        raise wrong("{value!r} is not a 'ipv4'", value=value) from None


def _ipv6(value: str) -> str:
    try:
        if "%" not in value:  # A zone means something on one host only.
            return str(ipaddress.IPv6Address(value))
    except ValueError:
        pass
    raise wrong("{value!r} is not a 'ipv6'", value=value)


Ipv4 = Annotated[str, AfterValidator(_ipv4)]
Ipv6 = Annotated[str, AfterValidator(_ipv6)]


def _base64(value: str) -> str:
    """With line ends, as MIME and the command `base64` write it."""
    try:
        base64.b64decode(re.sub(r"[\r\n]", "", value), validate=True)
    except (binascii.Error, ValueError):
        raise wrong("{value!r} is not a 'base64'", value=value) from None
    return value


Base64 = Annotated[str, AfterValidator(_base64)]

T = TypeVar("T")
_KEY = re.compile(r"[a-zA-Z0-9-_:. ]{1,255}")


def check_keys(value: dict[str, T]) -> dict[str, T]:
    """Nova's rule for the keys of metadata."""
    unknown = sorted(key for key in value if not _KEY.fullmatch(key))
    if unknown:
        verb = "does" if len(unknown) == 1 else "do"
        keys = ", ".join(map(repr, unknown))
        raise wrong(
            "{keys} {verb} not match any of the regexes: '^[a-zA-Z0-9-_:. ]{{1,255}}$'", keys=keys, verb=verb
        )
    return value


Metadata = Annotated[dict[str, Annotated[str, StringConstraints(max_length=255)]], AfterValidator(check_keys)]


# A label of a host name; from 2.94 on a whole domain name, with whatever Nova lets through.
HostLabel = Annotated[
    str, StringConstraints(min_length=2, max_length=63, pattern="^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$")
]
HostName = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern="^[a-zA-Z0-9-._]*$")]


def _unique(value: list[str]) -> list[str]:
    if len({*value}) < len(value):
        raise wrong("{value!r} has non-unique elements", value=value)
    return value


TrustedCertificates = (
    Annotated[
        list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=50), AfterValidator(_unique)
    ]
    | None
)


def _time(value: str) -> datetime:
    try:
        return timeutils.parse_isotime(value)
    except ValueError:
        raise wrong("{value!r} is not a 'date-time'", value=value) from None


Time = Annotated[datetime, BeforeValidator(_time)]


class Paged(Query):
    """A list that comes in pages."""

    limit: Limit | None = None
    marker: str | None = None


def one_of(names: Iterable[str]) -> AfterValidator:
    """A string that is one of these, where they are known only from elsewhere (the sort keys of a list)."""
    allowed = sorted(names)

    def check(value: str) -> str:
        if value not in allowed:
            raise wrong("{value!r} is not one of {allowed}", value=value, allowed=allowed)
        return value

    return AfterValidator(check)
