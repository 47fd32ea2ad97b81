"""What the agent's steps see of a host's networks, whichever way guests are connected."""

from collections.abc import Sequence
from typing import Protocol

from renova.agent.qemu.spec import NetworkCard
from renova.db.tables import Network, Server


class Networks(Protocol):
    async def cards(self, server: Server, held: Sequence[NetworkCard]) -> tuple[NetworkCard, ...]:
        """The cards of a server's ports, in their order, and this host ready for a machine with them.

        `held` are the cards of the server's machine, if it has one: what they hold is kept. The server's
        ports and their networks are loaded. Raises RenovaError where this host can't be made ready.
        """

    def resolver(self, network: Network) -> str | None:
        """The address of a DNS server that guests of a network can ask; None where there is none."""

    async def serve(self) -> None:
        """Keep running what guests need of this host, until cancelled; returns where that is nothing."""
