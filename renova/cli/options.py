"""The options that several commands share, and what they mean."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from renova.cloud.errors import CloudError
from renova.cloud.state import PORTS, State

if TYPE_CHECKING:
    from oslo_config import cfg

HIGHEST_OFFSET = 65535 - max(PORTS.values())


def add_state(parser: argparse.ArgumentParser) -> None:
    """--state and --port-offset, for what works on a cloud of `renova up`."""
    parser.add_argument(
        "--state", type=Path, help=f"where the cloud keeps everything (default {_default_state()})"
    )
    parser.add_argument(
        "--port-offset",
        type=int,
        default=0,
        metavar="N",
        help="added to every port, so that several clouds fit on one machine: "
        + ", ".join(f"{name} {port}" for name, port in PORTS.items()),
    )


def state_of(options: argparse.Namespace) -> State:
    """Raises CloudError for a port offset that no port can have."""
    if not 0 <= options.port_offset <= HIGHEST_OFFSET:
        raise CloudError(f"--port-offset has to be from 0 to {HIGHEST_OFFSET}")
    return State((options.state or _default_state()).absolute().resolve(), options.port_offset)


def add_config(parser: argparse.ArgumentParser) -> None:
    """--config, for what works with any PostgreSQL, Keystone and Glance."""
    parser.add_argument("--config", type=Path, required=True, help="a renova.conf; `renova up` writes one")


def load(options: argparse.Namespace, *, checks_tokens: bool = True) -> "cfg.ConfigOpts":
    """The configuration that --config names. Raises CloudError with what is wrong in it."""
    from oslo_config import cfg

    from renova import conf

    if not options.config.is_file():
        raise CloudError(f"there is no configuration file {options.config}")
    try:
        loaded = conf.load([options.config], checks_tokens=checks_tokens)
        # oslo.config looks at a value when it is asked for: ask for all now, not in the middle of something.
        for group in loaded.values():
            if isinstance(group, cfg.ConfigOpts.GroupAttr):
                tuple(group.values())
    except cfg.Error as error:
        raise CloudError(f"{options.config}: {error}") from None
    if not loaded.database.connection:
        raise CloudError(f"{options.config}: [database] connection is missing")
    return loaded


def _default_state() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/renova")
    return Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local/state")) / "renova"
