"""What a client sees of flavors, at each microversion. Source: Nova's API reference, "Flavors (flavors)"."""

from typing import Annotated, Any, Self

from pydantic import Field

from renova.api.marked import View
from renova.api.microversions import since, until
from renova.api.views.links import Links
from renova.db.tables import Flavor


class FlavorBrief(View):
    """An entry of GET /flavors."""

    id: str
    name: str
    links: list[dict[str, str]]
    description: Annotated[str | None, since("2.55")]

    @classmethod
    def of(cls, flavor: Flavor, links: Links, *, extra_specs: bool) -> Self:
        """`extra_specs`: policy lets the caller see them."""
        shown = {"extra_specs": flavor.extra_specs} if extra_specs else {}
        return cls(**cls._facts(flavor, links), **shown)

    @staticmethod
    def _facts(flavor: Flavor, links: Links) -> dict[str, Any]:
        return {
            "id": flavor.id,
            "name": flavor.name,
            "links": links.of("flavors", flavor.id),
            "description": flavor.description,
        }


class FlavorView(FlavorBrief):
    """One flavor. `swap` is MiB, and up to 2.74 "" where there is none; `rxtx_factor` is only kept."""

    ram: int
    disk: int
    vcpus: int
    early_swap: Annotated[int | str, Field(alias="swap"), until("2.74")]
    later_swap: Annotated[int, Field(alias="swap"), since("2.75")]
    ephemeral: Annotated[int, Field(alias="OS-FLV-EXT-DATA:ephemeral")]
    disabled: Annotated[bool, Field(alias="OS-FLV-DISABLED:disabled"), until("2.101")]
    is_public: Annotated[bool, Field(alias="os-flavor-access:is_public")]
    rxtx_factor: Annotated[float, until("2.101")]
    extra_specs: Annotated[dict[str, str] | None, since("2.61")] = None

    @staticmethod
    def _facts(flavor: Flavor, links: Links) -> dict[str, Any]:
        return FlavorBrief._facts(flavor, links) | {
            "ram": flavor.ram,
            "disk": flavor.disk,
            "vcpus": flavor.vcpus,
            "early_swap": flavor.swap or "",
            "later_swap": flavor.swap,
            "ephemeral": flavor.ephemeral,
            "disabled": flavor.disabled,
            "is_public": flavor.is_public,
            "rxtx_factor": flavor.rxtx_factor,
        }
