"""What an admin sees of services. Source: Nova's API reference, "Compute services", "Availability zones"."""

from typing import Annotated, Any, Self

from pydantic import Field

from renova.api.marked import View
from renova.api.microversions import since, until
from renova.api.views.times import to_the_microsecond
from renova.compute.services import ZONE, Reporting


class ServiceView(View):
    """Every service is enabled: there is no call that would say otherwise."""

    number: Annotated[int, Field(alias="id"), until("2.52")]
    uuid: Annotated[str, Field(alias="id"), since("2.53")]
    binary: str
    host: str
    zone: str
    status: str
    state: str
    updated_at: str | None
    disabled_reason: str | None
    forced_down: Annotated[bool, since("2.11")]

    @classmethod
    def of(cls, service: Reporting) -> Self:
        return cls(
            number=service.number,
            uuid=service.uuid,
            binary=service.name,
            host=service.host,
            zone=ZONE,
            status="enabled",
            state="up" if service.is_up else "down",
            updated_at=to_the_microsecond(service.seen_at),
            disabled_reason=None,
            forced_down=False,
        )


class ZoneView(View):
    """`hosts` is null but for admins who ask for details: by host and service, whether each is there."""

    name: Annotated[str, Field(alias="zoneName")]
    state: Annotated[dict[str, bool], Field(alias="zoneState")]
    hosts: dict[str, dict[str, dict[str, bool | str | None]]] | None


def zones(services: list[Reporting], *, detailed: bool) -> list[ZoneView]:
    """`availabilityZoneInfo`. A zone with a service in it counts as available, up or not, as in Nova."""
    if not services:
        return []
    hosts: dict[str, Any] = {}
    for service in services:
        hosts.setdefault(service.host, {})[service.name] = {
            "available": service.is_up,
            "active": True,
            "updated_at": to_the_microsecond(service.seen_at),
        }
    return [ZoneView(name=ZONE, state={"available": True}, hosts=hosts if detailed else None)]
