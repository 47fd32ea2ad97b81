"""The embedded Keystone: its configuration, what it is filled with, and its process.

`python -m renova.cloud.keystone setup|serve STATE PORT_OFFSET`. Keystone and Glance can't share a process:
both register their options on oslo.config's one global.
"""

import sys
from pathlib import Path
from typing import Any

from granian.constants import Interfaces

from renova.cloud.passwords import write_private
from renova.cloud.serving import serve
from renova.cloud.state import State

CONF = """\
[DEFAULT]
use_stderr = true
[database]
connection = {database}
max_pool_size = 5
max_overflow = 10
[cache]
# A token check takes 3 ms instead of 50.
enabled = true
backend = dogpile.cache.memory
[token]
provider = fernet
[fernet_tokens]
key_repository = {home}/fernet-keys
[fernet_receipts]
key_repository = {home}/fernet-keys
[credential]
key_repository = {home}/credential-keys
"""

# Each request has a thread; PostgreSQL has connections for no more.
THREADS = 8


def write_conf(state: State) -> Path:
    home = state.path / "keystone"
    text = CONF.format(home=home, database=state.database_url("keystone", "psycopg2"))
    write_private(home / "keystone.conf", state.with_local("keystone", text))
    return home / "keystone.conf"


def main() -> None:
    command, path, port_offset = sys.argv[1:]
    state = State(Path(path), int(port_offset))
    conf = write_conf(state)
    if command == "setup":
        from renova.cloud import oslo

        oslo.prepare("keystone")
        from renova.cloud.keystone_setup import set_up

        set_up(state, conf)
    else:
        serve(
            f"renova keystone {path}",
            lambda: _application(conf),
            Interfaces.WSGI,
            state.ports["keystone"],
            blocking_threads=THREADS,
        )


def _application(conf: Path) -> Any:
    from renova.cloud import oslo

    oslo.prepare("keystone")
    from keystone.common.rbac_enforcer import policy
    from keystone.server.flask import core

    application = core.initialize_application("public", config_files=[str(conf)])
    # Keystone would do this at its first request. Of two at once, one then sees half of the rules: 403.
    policy._ENFORCER._enforcer.load_rules()
    return application


if __name__ == "__main__":
    main()
