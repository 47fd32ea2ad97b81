"""The embedded Glance: its configuration, its tables and its process.

`python -m renova.cloud.glance setup|serve STATE PORT_OFFSET`.
"""

import os
import sys
from importlib.metadata import files
from pathlib import Path
from typing import Any

from granian.constants import Interfaces

from renova.cloud.errors import CloudError
from renova.cloud.passwords import write_private
from renova.cloud.serving import serve
from renova.cloud.state import State

CONF = """\
[DEFAULT]
use_stderr = true
bind_host = 127.0.0.1
enabled_backends = file:file
worker_self_reference_url = {url}
# Images are deleted for good, and their bytes with them.
delayed_delete = false
[database]
connection = {database}
max_pool_size = 5
max_overflow = 15
[glance_store]
default_backend = file
[file]
filesystem_store_datadir = {home}/images
[os_glance_staging_store]
filesystem_store_datadir = {home}/staging
[os_glance_tasks_store]
filesystem_store_datadir = {home}/tasks
[paste_deploy]
flavor = keystone
config_file = {paste}
[keystone_authtoken]
www_authenticate_uri = {keystone}/v3
auth_url = {keystone}/v3
auth_type = password
username = glance
password = {password}
user_domain_name = Default
project_name = service
project_domain_name = Default
service_token_roles_required = true
"""

# Uploads and downloads hold a thread each for as long as they take.
THREADS = 16


def write_conf(state: State) -> Path:
    home = state.path / "glance"
    for name in ("images", "staging", "tasks"):
        (home / name).mkdir(exist_ok=True)
    text = CONF.format(
        home=home,
        url=state.url("glance"),
        keystone=state.url("keystone"),
        database=state.database_url("glance", "psycopg2"),
        password=state.password("glance"),
        paste=_paste_file(),
    )
    write_private(home / "glance-api.conf", state.with_local("glance", text))
    return home / "glance-api.conf"


def _paste_file() -> Path:
    """Glance's pipelines, which its package installs outside of the package."""
    for file in files("glance") or []:
        if file.name == "glance-api-paste.ini":
            return Path(str(file.locate()))
    raise CloudError("the Python package glance lacks glance-api-paste.ini; install it again")


def set_up(conf: Path) -> None:
    """Bring Glance's tables up to its code. Doing it again changes nothing."""
    from renova.cloud import oslo

    oslo.prepare("glance")
    from glance.cmd.manage import DbCommands
    from glance.common import config
    from oslo_log import log

    log.register_options(config.CONF)
    config.set_config_defaults()
    config.CONF([], project="glance", default_config_files=[str(conf)])
    log.setup(config.CONF, "glance")
    try:
        DbCommands().sync()
    except SystemExit as ended:  # Without a code it says that there was nothing to do.
        if ended.code:
            raise


def main() -> None:
    command, path, port_offset = sys.argv[1:]
    state = State(Path(path), int(port_offset))
    conf = write_conf(state)
    os.environ["OS_GLANCE_CONFIG_DIR"] = str(conf.parent)
    if command == "setup":
        set_up(conf)
    else:
        serve(
            f"renova glance {path}",
            _application,
            Interfaces.WSGI,
            state.ports["glance"],
            blocking_threads=THREADS,
        )


def _application() -> Any:
    from renova.cloud import oslo

    oslo.prepare("glance")
    from glance.common import wsgi_app

    return wsgi_app.init_app()


if __name__ == "__main__":
    main()
