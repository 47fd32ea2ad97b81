"""Guests without privileges of ours: each card on a user network of its own inside QEMU.

Guests reach neither each other nor this host. What leads to a guest is a port of this host's loopback.
"""

import asyncio
import random
import socket
from collections.abc import Container, Sequence

from oslo_config import cfg
from sqlalchemy import select, update

from renova.agent.networks.documents import DNS, GATEWAY, address_of
from renova.agent.qemu.spec import NetworkCard
from renova.db.session import Sessions
from renova.db.tables import Network, Port, Server
from renova.errors import RenovaError

# Above the ports of this cloud's services, below those that the kernel gives to outgoing connections.
FORWARDED = range(20000, 32768)


class UserNetworks:
    """See `renova.agent.networks.face.Networks`."""

    def __init__(self, conf: cfg.ConfigOpts, sessions: Sessions) -> None:
        self._host: str = conf.host
        self._outbound: bool = conf.network.user_outbound
        self._sessions = sessions
        self._choosing = asyncio.Lock()

    async def cards(self, server: Server, held: Sequence[NetworkCard]) -> tuple[NetworkCard, ...]:
        cards = tuple(self._card(port, port.ssh_port or 0) for port in server.ports)
        if cards != tuple(held):
            async with self._choosing:
                ssh_ports = await self._ssh_ports(server.ports, {card.ssh_port for card in held})
            cards = tuple(self._card(port, ssh_ports[port.id]) for port in server.ports)
        return cards

    def resolver(self, network: Network) -> str | None:
        return address_of(network, DNS) if self._outbound else None

    async def serve(self) -> None:
        return

    def _card(self, port: Port, ssh_port: int) -> NetworkCard:
        return NetworkCard(
            mac=port.mac,
            address=port.address,
            cidr=port.network.cidr,
            gateway=address_of(port.network, GATEWAY),
            dns=address_of(port.network, DNS),
            ssh_port=ssh_port,
            outbound=self._outbound,
        )

    async def _ssh_ports(self, ports: Sequence[Port], held: Container[int | None]) -> dict[str, int]:
        """The loopback port of each, by id: the one it had, unless somebody else listens there by now."""
        async with self._sessions.begin() as session:
            on_host = (
                select(Port.id, Port.ssh_port)
                .join(Server, Server.id == Port.server_id)
                .where(Server.host == self._host, Port.ssh_port.is_not(None))
            )
            chosen = {row.id: row.ssh_port for row in await session.execute(on_host)}
            for port in ports:
                number = chosen.get(port.id)
                if number is None or not (number in held or _is_free(number)):
                    chosen[port.id] = _free_port(set(chosen.values()))
                    await session.execute(
                        update(Port).where(Port.id == port.id).values(ssh_port=chosen[port.id])
                    )
        return {port.id: chosen[port.id] or 0 for port in ports}


def _free_port(taken: Container[int | None]) -> int:
    """Chosen at random, so that several agents on one host are not after the same one. Raises RenovaError."""
    for number in random.sample(FORWARDED, len(FORWARDED)):
        if number not in taken and _is_free(number):
            return number
    raise RenovaError("No port of the host's loopback is free to lead to the guest.")


def _is_free(number: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # As QEMU itself does.
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return False
    return True
