"""`POST /servers/{server_id}/action` with `rebuild`: the request of the seed page; and what it would do."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from renova.api import passwords
from renova.api.boot_images import seen_meanwhile
from renova.api.forms import Changed
from renova.api.policies import SERVERS
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.rebuild import (
    BY_PROFILE,
    PLAN_BY_PROFILE,
    PlanRebuildServer,
    RebuildServer,
)
from renova.api.schemas.rebuild import Rebuild as Asked
from renova.api.server_actions import PATH
from renova.api.server_create import check_files, key_of
from renova.api.servers import AS_SHOWN, found, sight_of_one
from renova.api.views import plan as plan_views
from renova.api.views import servers as views
from renova.compute import hosts, image_checks, metadata
from renova.compute.plan import plan_rebuild
from renova.compute.rebuild import Rebuild, Wishes, begin_rebuild, reasons_against
from renova.db.tables import KeyPair, Server
from renova.errors import Conflict, Forbidden, Invalid, NotFound, RenovaError
from renova.image import Image

routes = Routes()


@dataclass(frozen=True)
class Considered:
    """A request, looked at from every side. `image` is None only in a plan that says that there is none."""

    server: Server
    wishes: Wishes
    image: Image | None
    charging_mode: str | None


Weigh = Callable[[], AbstractContextManager[None]]


@routes.action(
    PATH,
    "rebuild",
    body=RebuildServer,
    status=202,
    answer={"server": Changed(AS_SHOWN, views.RebuildAnswer, views.RebuildDetail)},
)
async def rebuild(call: Call) -> Answer:
    profile = call.parts.conf.compute.profile
    asked = call.parse(BY_PROFILE[profile]).rebuild
    considered = await _consider(call, asked, nullcontext)
    assert considered.image is not None
    password = passwords.generate() if asked.admin_pass is None else asked.admin_pass
    wanted = Rebuild(image=considered.image, **vars(considered.wishes) | {"admin_pass": password})
    server = considered.server
    async with call.transaction() as session:
        session.add(server)
        if considered.charging_mode is not None:
            server.charging_mode = considered.charging_mode
        on_failure = call.parts.conf.rebuild.on_failure
        await begin_rebuild(session, call.parts.jobs, call.caller, server, wanted, profile, on_failure)
        sight = await sight_of_one(call, session, server)
    answer = views.rebuilt_in_detail if call.version in AS_SHOWN else views.rebuilt
    view = answer(server, sight, password)
    return Answer({"server": view}, headers={"Location": view.links[0]["href"]})


@routes.action(PATH, "planRebuild", body=PlanRebuildServer, answer={"plan": plan_views.PlanView})
async def plan(call: Call) -> Answer:
    """Nothing is changed by it, and everything that stands against the rebuild is told at once."""
    profile = call.parts.conf.compute.profile
    asked = call.parse(PLAN_BY_PROFILE[profile]).plan_rebuild
    reasons: list[RenovaError] = []

    @contextmanager
    def note() -> Iterator[None]:
        try:
            yield
        except (Invalid, Forbidden, NotFound, Conflict) as reason:
            reasons.append(reason)

    considered = await _consider(call, asked, note)
    async with call.reading() as session:
        planned = await plan_rebuild(
            session, call.parts.conf, considered.server, considered.wishes, considered.image
        )
    return Answer({"plan": plan_views.planned(considered.server, planned, reasons)})


async def _consider(call: Call, asked: Asked, weigh: Weigh) -> Considered:
    """Everything that the request and the server's row say, each reason against it raised inside `weigh()`:
    it may stop there, or be noted. Raises ServerNotFound, Unavailable.
    """
    own = charging_mode = key = image = None
    async with seen_meanwhile(call, asked.image_ref, if_missing="Cannot find image for rebuild") as seen:
        async with call.reading() as session:
            server = await found(call, session, SERVERS + "show")
            with weigh():
                call.can(SERVERS + "rebuild", project_id=server.project_id, user_id=server.user_id)
            if asked.sent("trusted_image_certificates"):
                with weigh():
                    call.can(SERVERS + "rebuild:trusted_certs", project_id=server.project_id)
            for reason in reasons_against(call.caller, server, call.parts.conf.compute.profile):
                with weigh():
                    raise reason
            if asked.key_name is not None:
                with weigh():
                    key = await key_of(call, session, asked.key_name)
            agent = await hosts.agent_of(session, server.host)
            if asked.metadata is not None or asked.personality:
                rules = await metadata.Rules.of(session, call.parts.conf, server.project_id)
                if asked.metadata is not None:
                    with weigh():
                        own, charging_mode = metadata.new_set(rules, call.caller, asked.metadata)
                with weigh():
                    check_files(rules.limits, asked.personality or [])
        # The connection of the pool does not wait for Glance, which may take its time.
        with weigh():
            image = await seen
    if image is not None:
        ram, disk = server.flavor["ram"], server.flavor["disk"]
        for unusable in image_checks.reasons_against(
            image, ram=ram, disk=disk, architecture=agent.architecture
        ):
            with weigh():
                raise unusable
    return Considered(server, _wishes(asked, key, own), image, charging_mode)


def _wishes(asked: Asked, key: KeyPair | None, own_metadata: dict[str, str] | None) -> Wishes:
    return Wishes(
        name=asked.name,
        metadata=own_metadata,
        key=key,
        key_sent=asked.sent("key_name"),
        user_data=asked.user_data,
        user_data_sent=asked.sent("user_data"),
        description=asked.description,
        description_sent=asked.sent("description"),
        disk_config=asked.disk_config,
        access_ip_v4=asked.access_ip_v4,
        access_ip_v6=asked.access_ip_v6,
        hostname=asked.hostname,
        trusted_image_certificates=asked.trusted_image_certificates,
        trusted_image_certificates_sent=asked.sent("trusted_image_certificates"),
        preserve_ephemeral=bool(asked.preserve_ephemeral),
        personality=None if asked.personality is None else [file.model_dump() for file in asked.personality],
    )
