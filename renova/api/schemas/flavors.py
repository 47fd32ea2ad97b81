"""What a client sends about flavors. Source: Nova's API reference, "Flavors (flavors)"."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from renova.api.marked import Request
from renova.api.microversions import since, until
from renova.api.schemas.sent import Sent
from renova.api.schemas.types import (
    Boolean,
    Name,
    NonNegativeInteger,
    Paged,
    PositiveInteger,
    is_printable,
    one_of,
    wrong,
)
from renova.compute.flavors import SORT_COLUMNS

_ID = re.compile(r"(?! )[a-zA-Z0-9. _-]+(?<! )")
_FLOAT = re.compile(r"[0-9]+(\.[0-9]+)?")
MAX_FLOAT = 3.40282e38  # What Nova's column holds.


def _id(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and not _ID.fullmatch(value):
        raise wrong("{value!r} does not match '^(?! )[a-zA-Z0-9. _-]+(?<! )$'", value=value)
    return value


def _factor(value: Any) -> Any:
    if isinstance(value, str):
        if not _FLOAT.fullmatch(value):
            raise wrong(r"{value!r} does not match '^[0-9]+(\\.[0-9]+)?$'", value=value)
        return float(value)
    return value


def _long_description(value: str | None) -> str | None:
    if value is not None and not all(map(is_printable, value)):
        raise wrong("{value!r} does not match the pattern of printable characters", value=value)
    return value


LongDescription = Annotated[
    Annotated[str, StringConstraints(max_length=65535)] | None, AfterValidator(_long_description)
]


class NewFlavor(Request):
    """Sizes: ram and swap in MiB, disk and ephemeral in GiB. An id that is absent or null is made up."""

    name: Name
    id: Annotated[Annotated[str, Field(min_length=1, max_length=255)] | None, BeforeValidator(_id)] = None
    ram: PositiveInteger
    vcpus: PositiveInteger
    disk: NonNegativeInteger
    ephemeral: Annotated[NonNegativeInteger, Field(alias="OS-FLV-EXT-DATA:ephemeral")] = 0
    swap: NonNegativeInteger = 0
    rxtx_factor: Annotated[float, BeforeValidator(_factor), Field(gt=0, le=MAX_FLOAT), until("2.101")] = 1.0
    is_public: Annotated[Boolean, Field(alias="os-flavor-access:is_public")] = True
    description: Annotated[LongDescription, since("2.55")] = None


class CreateFlavor(Request):
    flavor: NewFlavor


class ChangedFlavor(Request):
    description: LongDescription


class UpdateFlavor(Request):
    flavor: ChangedFlavor


class ListFlavors(Paged):
    """The filters are strings to Nova's schema; the handler tells what is wrong with them, as there."""

    is_public: Sent[str] = None
    min_ram: Annotated[Sent[str], Field(alias="minRam")] = None
    min_disk: Annotated[Sent[str], Field(alias="minDisk")] = None
    name: Annotated[Sent[str], since("2.102")] = None
    early_sort_key: Annotated[str, one_of(SORT_COLUMNS), Field(alias="sort_key"), until("2.101")] = "flavorid"
    later_sort_key: Annotated[
        str, one_of(SORT_COLUMNS.keys() - {"rxtx_factor"}), Field(alias="sort_key"), since("2.102")
    ] = "flavorid"
    sort_dir: Literal["asc", "desc"] = "asc"

    @property
    def sort_key(self) -> str:
        return self.later_sort_key if self.sent("later_sort_key") else self.early_sort_key
