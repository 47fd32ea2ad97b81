"""What a client sees of a rebuild that it only asked about: an addition to Nova (docs/api-extensions.md)."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from renova.api.marked import View
from renova.api.views.hosts import host_id
from renova.compute.plan import Plan
from renova.db.tables import Server
from renova.errors import RenovaError

# Columns of a server, as its owner knows them.
NAMES = {
    "meta": "metadata",
    "disk_config": "OS-DCF:diskConfig",
    "access_ip_v4": "accessIPv4",
    "access_ip_v6": "accessIPv6",
}


class Refusal(View):
    """What the rebuild would be answered instead: a status of HTTP and Nova's sentence."""

    code: int
    message: str


class Replaced(View):
    """One thing and what it becomes. Of user_data only whether there is any."""

    what: str
    before: Annotated[Any, Field(alias="from")]
    after: Annotated[Any, Field(alias="to")]


class Lost(View):
    """What the rebuild takes away: at once, or after so many hours in which undoRebuild brings it back."""

    what: str
    generation: int
    image: str
    kept_hours: float


class Fetch(View):
    """Bytes of the image that the host does not have yet; null where the image can't be seen."""

    bytes_to_fetch: Annotated[int | None, Field(alias="bytes")]


class Stop(View):
    """How the new system takes the old one's place (`swap`, `respawn`, `none`) and why so, and the most
    seconds that the guest has to power itself off.
    """

    method: str
    why: str
    at_most_seconds: int


class Verify(View):
    """What proves that the new system lives, and within how many seconds; null for a server that is off."""

    by: str | None
    at_most_seconds: int


class PlanView(View):
    possible: bool
    refusals: list[Refusal]
    kept: dict[str, Any]
    replaced: list[Replaced]
    lost: list[Lost]
    fetch: Fetch
    stop: Stop
    verify: Verify


def planned(server: Server, plan: Plan, reasons: Sequence[RenovaError]) -> PlanView:
    """The server's ports have to be loaded."""
    return PlanView(
        possible=not reasons,
        refusals=[Refusal(code=reason.code, message=reason.message) for reason in reasons],
        kept=_kept(server, plan),
        replaced=_replaced(server, plan),
        lost=_lost(server, plan),
        fetch=Fetch(bytes_to_fetch=plan.fetch_bytes),
        stop=Stop(method=plan.method.method, why=plan.method.why, at_most_seconds=plan.stop_seconds),
        verify=Verify(by=plan.verified_by, at_most_seconds=plan.verify_seconds),
    )


def _kept(server: Server, plan: Plan) -> dict[str, Any]:
    """There are no volumes here; an attached one would be touched by neither rebuild, restore nor undo."""
    of_the_machine = {
        "id": server.id,
        "addresses": [port.address for port in server.ports],
        "ports": [port.id for port in server.ports],
        "flavor": server.flavor["id"],
        "host": host_id(server.project_id, server.host),
        "disks": plan.kept_disks,
        "volumes": [],
    }
    values = {column: _told(column, getattr(server, column)) for column in plan.unchanged}
    return of_the_machine | {NAMES.get(column, column): value for column, value in values.items()}


def _replaced(server: Server, plan: Plan) -> list[Replaced]:
    image = (
        [] if plan.image is None else [Replaced(what="image", before=server.image_id, after=plan.image.id)]
    )
    return image + [
        Replaced(what=NAMES.get(column, column), before=_told(column, before), after=_told(column, after))
        for column, (before, after) in plan.changed.items()
    ]


def _told(column: str, value: Any) -> Any:
    return value is not None if column == "user_data" else value


def _lost(server: Server, plan: Plan) -> list[Lost]:
    hours = plan.keep_previous.total_seconds() / 3600
    lost = [
        Lost(what=disk, generation=plan.generation, image=server.image_id, kept_hours=hours)
        for disk in ("root disk", *plan.lost_disks)
    ]
    if plan.freed is not None:
        freed = plan.freed
        lost.append(Lost(what="kept system", generation=freed.number, image=freed.image_id, kept_hours=0))
    return lost
