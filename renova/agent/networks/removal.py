"""What `renova down` does for networks: the agent that made them has gone."""

import shutil

from renova.agent.networks import firewall, links
from renova.agent.networks.names import Names
from renova.agent.networks.programs import run_now
from renova.errors import RenovaError


def remove(names: Names) -> None:
    """Take away what an agent of this run path has made in the kernel, whatever there is of it.

    Raises RenovaError where that is not possible.
    """
    bridges = links.beginning_with(names.bridges)
    for bridge in bridges:
        run_now("ip", "link", "delete", bridge)
    if shutil.which("nft") is None:
        return
    try:
        if names.table in run_now("nft", "list", "tables"):
            run_now("nft", "-f", "-", text=firewall.removal(names))
    except RenovaError:
        if bridges:  # Else nothing was ever made here: root of a container may not even look.
            raise
