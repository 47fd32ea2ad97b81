"""Microversions: what they are, which we speak, and the marks that tie a field to some of them.

A field of a request or an answer carries its versions where it is declared (`Annotated[str, since("2.19")]`).
Validation, views and the history page in the docs are made from these marks: an effect is written once.

Source: Nova's REST API version history,
https://docs.openstack.org/nova/latest/reference/api-microversion-history.html
"""

import re
from dataclasses import dataclass
from typing import NamedTuple


class Version(NamedTuple):
    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


def parse(text: str) -> Version:
    """`2.57` as a Version. Raises ValueError for anything that is not two plain numbers."""
    match = re.fullmatch(r"([1-9]\d*)\.([1-9]\d*|0)", text, re.ASCII)
    if match is None:
        raise ValueError(text)
    return Version(int(match[1]), int(match[2]))


MINIMUM = Version(2, 1)
# Only versions whose every effect on the calls that we serve is in place are advertised.
MAXIMUM = Version(2, 104)


@dataclass(frozen=True)
class Span:
    """A mark on a field: the versions that have it, ends included."""

    first: Version = MINIMUM
    last: Version | None = None
    required_from: Version | None = None

    def __contains__(self, version: Version) -> bool:
        return self.first <= version and (self.last is None or version <= self.last)


def since(first: str, last: str | None = None) -> Span:
    """The field exists from `first` on, up to `last` where one is given."""
    return Span(parse(first), parse(last) if last else None)


def until(last: str) -> Span:
    """The field exists from the start up to and including `last`."""
    return Span(last=parse(last))


def required_since(version: str) -> Span:
    """The field always exists, and has to be sent from `version` on."""
    return Span(required_from=parse(version))


@dataclass(frozen=True)
class Change:
    """An effect that is no field: `if call.version in HONEST_STATUSES`. The history page has its sentence."""

    first: str
    sentence: str

    def __contains__(self, version: Version) -> bool:
        return version >= parse(self.first)


class UnsupportedVersionError(ValueError):
    """A version that is well formed, but that we do not speak: 406."""

    def __init__(self, version: str) -> None:
        super().__init__(
            f"Version {version} is not supported by the API. Minimum is {MINIMUM} and maximum is {MAXIMUM}."
        )


def requested(standard: str | None, legacy: str | None) -> Version:
    """The version that a request asks for by its two headers; the first that names a compute version decides.

    `standard` is `OpenStack-API-Version: compute 2.57`, where other services may be named too; `legacy` is
    `X-OpenStack-Nova-API-Version: 2.57`. Neither is 2.1, `latest` is our newest. Raises ValueError with a
    sentence for what is not a version (400), UnsupportedVersionError for one that is not ours (406).
    """
    text = _of_compute(standard or "") or (legacy or "").split(",")[-1].strip()
    return named(text) if text else MINIMUM


def named(text: str) -> Version:
    """The version that `2.57` or `latest` names, with the errors of `requested`."""
    if text == "latest":
        return MAXIMUM
    try:
        version = parse(text)
    except ValueError:
        raise ValueError(
            f"API Version String {text} is of invalid format. Must be of format MajorNum.MinorNum."
        ) from None
    if not MINIMUM <= version <= MAXIMUM:
        raise UnsupportedVersionError(text)
    return version


def _of_compute(header: str) -> str | None:
    for part in header.split(","):
        service, _, version = part.strip().partition(" ")
        if service.lower() == "compute" and version.strip():
            return version.strip()
    return None
