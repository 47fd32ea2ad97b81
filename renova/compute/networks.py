"""Ports: a MAC and an address, allocated in the transaction of the request that needs them."""

import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from renova.db.tables import Network, Port, Server
from renova.errors import Conflict, Forbidden, Invalid

# The network's own address, the gateway (the bridge's, or QEMU's host=), QEMU's dns=, and one to spare.
RESERVED = 4
# A machine has 32 places for devices of every kind.
MOST_PORTS = 16


@dataclass(frozen=True)
class WantedPort:
    """A port to be made: on this network, None for the default one, with this address, None for any."""

    network_id: str | None = None
    address: str | None = None


async def list_networks(session: AsyncSession) -> Sequence[Network]:
    return (await session.scalars(select(Network).order_by(Network.label))).all()


async def find_network(session: AsyncSession, network_id: str | None) -> Network:
    """Every project may use every network. Raises Invalid; Conflict where None finds no network at all."""
    if network_id is None:
        return await default_network(session)
    network = await session.get(Network, network_id)
    if network is None:
        raise Invalid(f"Network {network_id} could not be found.")
    return network


async def default_network(session: AsyncSession) -> Network:
    """The network that a server gets a port on when its owner names none. Raises Conflict where there is
    none.
    """
    network: Network | None = await session.scalar(select(Network).order_by(Network.label).limit(1))
    if network is None:
        raise Conflict("There is no network to attach the server to.")
    return network


async def create_port(
    session: AsyncSession, server: Server, network: Network, address: str | None = None
) -> Port:
    """A port behind those that the server has, with the address asked for, or with the lowest free one.

    Raises Invalid for an address outside the network or in use, Conflict when the network is full, Forbidden
    for a port too many.
    """
    # The row lock makes two requests take turns, so that they never choose the same address; and an agent
    # that chooses the network's range takes its turn too.
    await session.refresh(network, with_for_update=True)
    taken = set(await session.scalars(select(Port.address).where(Port.network_id == network.id)))
    count, last = (
        await session.execute(
            select(func.count(), func.max(Port.position)).where(Port.server_id == server.id)
        )
    ).one()
    if count >= MOST_PORTS:
        raise Forbidden("Maximum number of ports exceeded")
    port = Port(
        id=str(uuid4()),
        server_id=server.id,
        network_id=network.id,
        position=0 if last is None else last + 1,
        mac=_random_mac(),
        address=_choose(network, taken, address),
        network=network,
    )
    session.add(port)
    await session.flush()
    return port


def _choose(network: Network, taken: set[str], wanted: str | None) -> str:
    hosts = ipaddress.ip_network(network.cidr)
    offsets = range(RESERVED, hosts.num_addresses - 1)  # The last one is for broadcasts.
    if wanted is not None:
        address = ipaddress.ip_address(wanted)
        if address not in hosts or int(address) - int(hosts.network_address) not in offsets:
            raise Invalid(f"Fixed IP address {wanted} is not a valid ip address for network {network.id}.")
        if wanted in taken:
            raise Invalid(f"Fixed IP address {wanted} is already in use on instance.")
        return wanted
    free = (str(hosts[offset]) for offset in offsets if str(hosts[offset]) not in taken)
    if (lowest := next(free, None)) is None:
        raise Conflict(f"No more addresses on network {network.label}.")
    return lowest


def _random_mac() -> str:
    """Nova's prefix fa:16:3e and three random bytes; the column is unique, so a clash is an error and not a
    muddle.
    """
    return "fa:16:3e:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))
