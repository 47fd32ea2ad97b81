"""Ports: a MAC and an address, allocated in the transaction of the request that needs them."""

import ipaddress
import secrets
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from renova.db.tables import Network, Port, Server
from renova.errors import Conflict, Invalid

# The network's own address, the gateway (QEMU's host=), QEMU's dns=, and one to spare.
RESERVED = 4


async def default_network(session: AsyncSession) -> Network:
    """The network that a server gets a port on when its owner names none. Raises Conflict where there is
    none.
    """
    network: Network | None = await session.scalar(select(Network).order_by(Network.label).limit(1))
    if network is None:
        raise Conflict("There is no network to attach the server to.")
    return network


async def create_port(
    session: AsyncSession, server: Server, network: Network, position: int = 0, address: str | None = None
) -> Port:
    """A port with the address asked for, or with the lowest free one.

    Raises Invalid for an address outside the network or in use, Conflict when the network is full.
    """
    # The row lock makes two requests take turns, so that they never choose the same address.
    await session.execute(select(Network.id).where(Network.id == network.id).with_for_update())
    taken = set(await session.scalars(select(Port.address).where(Port.network_id == network.id)))
    port = Port(
        id=str(uuid4()),
        server_id=server.id,
        network_id=network.id,
        position=position,
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
