"""`POST /servers/{server_id}/action` with `rebuild`: the request of the seed page."""

from renova.api import passwords
from renova.api.boot_images import usable_image
from renova.api.policies import SERVERS
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.rebuild import BY_PROFILE, RebuildServer
from renova.api.server_actions import PATH
from renova.api.server_create import check_files, key_of
from renova.api.servers import AS_SHOWN, found, sight_of_one
from renova.api.views import servers as views
from renova.compute import hosts, metadata, servers
from renova.compute.rebuild import Rebuild, begin_rebuild, check_rebuild

routes = Routes()


@routes.action(PATH, "rebuild", body=RebuildServer)
async def rebuild(call: Call) -> Answer:
    profile = call.parts.conf.compute.profile
    asked = call.parse(BY_PROFILE[profile]).rebuild
    async with call.transaction() as session:
        server = await found(call, session, SERVERS + "rebuild")
        if asked.sent("trusted_image_certificates"):
            call.can(SERVERS + "rebuild:trusted_certs", project_id=server.project_id)
        check_rebuild(call.caller, server, profile)
        key = None if asked.key_name is None else await key_of(call, session, asked.key_name)
        agent = await hosts.agent_of(session, server.host)
        rules = await metadata.Rules.of(session, call.parts.conf, server.project_id)
    own, charging_mode = None, None
    if asked.metadata is not None:
        own, charging_mode = metadata.new_set(rules, call.caller, asked.metadata)
    check_files(rules.limits, asked.personality or [])
    # Between two transactions: Glance may take its time, and a connection of the pool is not to wait for it.
    image = await usable_image(
        call,
        asked.image_ref,
        ram=server.flavor["ram"],
        disk=server.flavor["disk"],
        architecture=agent.architecture,
        if_missing="Cannot find image for rebuild",
    )
    wanted = Rebuild(
        image=image,
        name=asked.name,
        metadata=own,
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
        personality=None if asked.personality is None else [file.model_dump() for file in asked.personality],
    )
    async with call.transaction() as session:
        server = await found(call, session, SERVERS + "rebuild")
        if charging_mode is not None:
            server.charging_mode = charging_mode
        await begin_rebuild(session, call.parts.jobs, call.caller, server, wanted, profile)
        # Read again, with its ports: what was found above is from before.
        server = await servers.find_server(session, server.id, call.caller)
        sight = await sight_of_one(call, session, server)
    answer = views.rebuilt_in_detail if call.version in AS_SHOWN else views.rebuilt
    view = answer(server, sight, passwords.generate() if asked.admin_pass is None else asked.admin_pass)
    return Answer({"server": view}, status=202, headers={"Location": view.links[0]["href"]})
