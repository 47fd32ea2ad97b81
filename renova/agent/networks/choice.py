"""Which way the guests of this host are connected: `[network] mode`."""

import contextlib
import logging
import os
import shutil

from oslo_config import cfg

from renova.agent.networks.bridge import BridgedNetworks
from renova.agent.networks.user import UserNetworks
from renova.db.session import Sessions
from renova.errors import RenovaError

log = logging.getLogger(__name__)
PROGRAMS = {"ip": "iproute2", "nft": "nftables", "dnsmasq": "dnsmasq-base", "setpriv": "util-linux"}


async def choose(conf: cfg.ConfigOpts, sessions: Sessions) -> BridgedNetworks | UserNetworks:
    """The networks of this host, ready for guests. The log says which way and why.

    Raises RenovaError where `mode` is bridge and that does not work.
    """
    mode = conf.network.mode
    if mode == "user":
        log.info("Guests are on user networks, as [network] mode says")
        return UserNetworks(conf, sessions)
    try:
        return await _bridged(conf, sessions)
    except RenovaError as error:
        if mode == "bridge":
            raise RenovaError(f"[network] mode is bridge, and {error}") from error
        log.warning("Guests are on user networks, because %s", error)
        return UserNetworks(conf, sessions)


async def _bridged(conf: cfg.ConfigOpts, sessions: Sessions) -> BridgedNetworks:
    if os.geteuid() != 0:
        raise RenovaError("the agent is not root")
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            raise RenovaError(f"the program {program} is missing; on Debian: apt-get install {package}")
    networks = BridgedNetworks(conf, sessions)
    try:
        await networks.set_up()
    except RenovaError:
        with contextlib.suppress(RenovaError):  # The first error says more than this one.
            await networks.tear_down()
        raise
    log.info("Guests are on bridges of this host")
    return networks
