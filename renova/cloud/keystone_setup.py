"""What the embedded Keystone is filled with: roles, projects, users and the catalogue.

Everything looks first and makes what is missing, so that doing it again, after a kill say, changes nothing.
In one process, since importing Keystone is most of the 22 s that its own four commands would take.
"""

import uuid
from contextlib import suppress
from pathlib import Path

import keystone.conf
import keystone.server
from keystone import exception
from keystone.cmd.bootstrap import Bootstrapper
from keystone.common import driver_hints, fernet_utils, provider_api
from keystone.common.sql import upgrades
from keystone.credential.providers import fernet as credential_fernet

from renova.cloud.state import State

PROVIDERS = provider_api.ProviderAPIs
REGION = "RegionOne"
# name -> (project, roles). The service user renova reads the images of every project and checks every token.
USERS = {
    "admin": ("demo", ["admin"]),
    "demo": ("demo", ["member"]),
    "reader": ("demo", ["reader"]),
    "glance": ("service", ["service"]),
    "renova": ("service", ["admin", "service"]),
}


def set_up(state: State, conf: Path) -> None:
    """Bring Keystone's tables, keys and contents up to what this code wants."""
    keystone.server.configure(config_files=[str(conf)])
    upgrades.offline_sync_database_to_version()
    _make_keys()
    cloud = _bootstrap(state)
    roles = {
        "admin": cloud.admin_role_id,
        "member": cloud.member_role_id,
        "reader": cloud.reader_role_id,
        "service": cloud.service_role_id,
    }
    for user, (project, names) in USERS.items():
        _ensure_user(user, state.password(user), project, [roles[name] for name in names])
    _ensure_endpoints("image", "glance", state.url("glance"))
    _ensure_endpoints("compute", "nova", state.url("api") + "/v2.1")


def _make_keys() -> None:
    conf = keystone.conf.CONF
    for directory, most, group in (
        (conf.fernet_tokens.key_repository, conf.fernet_tokens.max_active_keys, "fernet_tokens"),
        (conf.credential.key_repository, credential_fernet.MAX_ACTIVE_KEYS, "credential"),
    ):
        keys = fernet_utils.FernetUtils(directory, most, group)
        keys.create_key_directory()
        keys.initialize_key_repository()


def _bootstrap(state: State) -> Bootstrapper:
    """Keystone's own bootstrap: domain, roles and what they imply, the user and the project admin."""
    cloud = Bootstrapper()
    cloud.admin_username = cloud.project_name = cloud.admin_role_name = "admin"
    cloud.admin_password = state.password("admin")
    cloud.immutable_roles = True
    cloud.service_name, cloud.region_id = "keystone", REGION
    cloud.public_url = cloud.internal_url = cloud.admin_url = state.url("keystone") + "/v3"
    cloud.bootstrap()
    return cloud


def _ensure_user(name: str, password: str, project: str, roles: list[str]) -> None:
    domain = keystone.conf.CONF.identity.default_domain_id
    try:
        project_id = PROVIDERS.resource_api.get_project_by_name(project, domain)["id"]
    except exception.ProjectNotFound:
        project_id = uuid.uuid4().hex
        PROVIDERS.resource_api.create_project(
            project_id, {"id": project_id, "name": project, "domain_id": domain, "enabled": True}
        )
    try:
        user_id = PROVIDERS.identity_api.get_user_by_name(name, domain)["id"]
    except exception.UserNotFound:
        user = {"name": name, "password": password, "domain_id": domain, "enabled": True}
        user_id = PROVIDERS.identity_api.create_user(user)["id"]
    for role_id in roles:
        with suppress(exception.Conflict):
            PROVIDERS.assignment_api.add_role_to_user_and_project(user_id, project_id, role_id)


def _ensure_endpoints(kind: str, name: str, url: str) -> None:
    """One service with its three interfaces; the URL is corrected when the ports have moved."""
    api = PROVIDERS.catalog_api
    services = api.list_services(_matching(type=kind))
    if services:
        service_id = services[0]["id"]
    else:
        service_id = uuid.uuid4().hex
        api.create_service(service_id, {"id": service_id, "type": kind, "name": name, "enabled": True})
    present = {found["interface"]: found for found in api.list_endpoints(_matching(service_id=service_id))}
    for interface in ("public", "internal", "admin"):
        if interface in present:
            api.update_endpoint(present[interface]["id"], {**present[interface], "url": url})
        else:
            made = {"id": uuid.uuid4().hex, "interface": interface, "url": url, "enabled": True}
            api.create_endpoint(made["id"], {**made, "service_id": service_id, "region_id": REGION})


def _matching(**wanted: str) -> driver_hints.Hints:
    hints = driver_hints.Hints()
    for name, value in wanted.items():
        hints.add_filter(name, value)
    return hints
