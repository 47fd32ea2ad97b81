"""The files that others read: renova.conf for the API and the agent, clouds.yaml for who uses the cloud."""

import os
import shutil
from configparser import ConfigParser

from renova.cloud.errors import CloudError
from renova.cloud.passwords import write_private
from renova.cloud.postgres import system_user
from renova.cloud.state import State

QEMU_USER = "renova-qemu"
RENOVA_CONF = """\
# Written at every start of `renova up`. Your own options go into local/renova.conf beside it, and win.
[DEFAULT]
state_path = {state}/compute
run_path = {run}
[api]
port = {port}
[database]
connection = {database}
[keystone_authtoken]
www_authenticate_uri = {keystone}/v3
auth_url = {keystone}/v3
auth_type = password
username = renova
password = {password}
user_domain_name = Default
project_name = service
project_domain_name = Default
region_name = RegionOne
service_token_roles_required = true
[agent]
secret = {agent_secret}
[compute]
{qemu_user}
"""
CLOUD = """\
  {cloud}:
    auth:
      auth_url: {keystone}/v3
      username: {user}
      password: {password}
      project_name: demo
      user_domain_name: Default
      project_domain_name: Default
    region_name: RegionOne
    identity_api_version: 3
"""
# name in clouds.yaml -> user: a member, an admin and a reader of the project demo
CLOUDS = {"renova": "demo", "renova-admin": "admin", "renova-reader": "reader"}


def write_all(state: State) -> None:
    """Write both files. Raises CloudError if the programs that the agent needs are missing."""
    as_root = os.geteuid() == 0
    text = RENOVA_CONF.format(
        state=state.path,
        run=state.run_path,
        port=state.ports["api"],
        database=state.database_url("renova", "psycopg"),
        keystone=state.url("keystone"),
        password=state.password("renova"),
        agent_secret=state.password("agent"),
        qemu_user=f"qemu_user = {system_user(QEMU_USER)}" if as_root else "",
    )
    write_private(state.conf, state.with_local("renova", text))
    _look_for_qemu(state)
    clouds = (
        CLOUD.format(cloud=cloud, user=user, password=state.password(user), keystone=state.url("keystone"))
        for cloud, user in CLOUDS.items()
    )
    write_private(state.path / "clouds.yaml", "clouds:\n" + "".join(clouds))


def _look_for_qemu(state: State) -> None:
    conf = ConfigParser(strict=False, interpolation=None)
    conf.read_string(state.conf.read_text())
    for program, package in (
        (conf.get("compute", "qemu", fallback="qemu-system-x86_64"), "qemu-system-x86"),
        ("qemu-img", "qemu-utils"),
        ("prlimit", "util-linux"),
    ):
        if shutil.which(program) is None:
            raise CloudError(f"the program {program} is missing; on Debian: apt-get install {package}")
