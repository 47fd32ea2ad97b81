"""Guests on bridges of this host: one for each network, a tap for each card, DHCP and DNS, and a firewall.

What is to be is read from the database every time, and made so: an agent that was killed, a host that was
rebooted and a ruleset that was flushed need nothing else. Taps belong to their QEMU; bridges and rules
outlive the agent; `renova down` takes them away.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
from collections.abc import AsyncIterator, Sequence
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

from oslo_config import cfg
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from renova.agent.files import in_thread
from renova.agent.networks import firewall, links
from renova.agent.networks.dnsmasq import Dnsmasq
from renova.agent.networks.documents import GATEWAY, address_of
from renova.agent.networks.firewall import Segment, Sender
from renova.agent.networks.metadata import Metadata
from renova.agent.networks.names import Names
from renova.agent.networks.removal import remove
from renova.agent.qemu.spec import NetworkCard
from renova.agent.qemu.tap import open_tap
from renova.db.session import DATABASE_AWAY, Sessions
from renova.db.tables import Network, Port, Server
from renova.errors import RenovaError

log = logging.getLogger(__name__)
# Seconds between two looks at whether everything still stands.
LOOK = 10


class BridgedNetworks:
    """See `renova.agent.networks.face.Networks`. `set_up` comes first, and `serve` as long as guests run."""

    def __init__(self, conf: cfg.ConfigOpts, sessions: Sessions) -> None:
        self._host: str = conf.host
        self._names = Names.of(conf.run_path)
        self._directory = Path(conf.run_path) / "networks"
        self._sessions = sessions
        self._changing = asyncio.Lock()
        # By the network's id.
        self._segments: dict[str, Segment] = {}
        self._dnsmasqs: dict[str, Dnsmasq] = {}
        self._rules = ""

    async def set_up(self) -> None:
        """Bridges, rules, DHCP and DNS are there, and a tap can be made. Raises RenovaError."""
        await self._ensure_bridges()
        await self._ensure_ports()
        for segment in self._segments.values():
            os.close(await in_thread(open_tap, self._names.tap("probe"), segment.bridge))
        try:
            if await in_thread(links.ensure_forwarding):
                log.warning("net.ipv4.ip_forward is 1 from now on: guests reach the outside by this host")
        except OSError as error:
            log.warning("Guests do not reach the outside: net.ipv4.ip_forward is 0, and %s", error)

    async def tear_down(self) -> None:
        """Nothing of it is left, unless guests that an earlier agent started need it."""
        for dnsmasq in self._dnsmasqs.values():
            await dnsmasq.close()
        if not links.beginning_with(self._names.taps):
            await in_thread(remove, self._names)

    async def cards(self, server: Server, held: Sequence[NetworkCard]) -> tuple[NetworkCard, ...]:
        cards = tuple(self._card(port) for port in server.ports)
        if cards != tuple(held):
            await self._ensure_ports()
        return cards

    def resolver(self, network: Network) -> str | None:
        return address_of(network, GATEWAY)

    async def serve(self) -> None:
        metadata = Metadata(self._sessions, self)
        async with asyncio.TaskGroup() as group:
            for network_id, segment in self._segments.items():
                group.create_task(self._dnsmasqs[network_id].keep())
                group.create_task(metadata.serve(network_id, str(segment.address.ip)))
            group.create_task(self._watch())

    def _card(self, port: Port) -> NetworkCard:
        gateway = address_of(port.network, GATEWAY)
        return NetworkCard(
            mac=port.mac,
            address=port.address,
            cidr=port.network.cidr,
            gateway=gateway,
            dns=gateway,
            tap=self._names.tap(port.id),
            bridge=self._names.bridge(port.network_id),
        )

    async def _watch(self) -> None:
        """Make again what somebody else took away: a reload of the host's firewall, for one."""
        while True:
            await asyncio.sleep(LOOK)
            try:
                if not await firewall.stands(self._names):
                    log.warning(
                        "The tables %s of the firewall were gone and are made again", self._names.table
                    )
                    self._rules = ""
                if not all(links.exists(segment.bridge) for segment in self._segments.values()):
                    log.warning("A bridge was gone and is made again; guests on it need a hard reboot")
                    await self._ensure_bridges()
                await self._ensure_ports()
            except (RenovaError, *DATABASE_AWAY) as error:
                log.warning("The networks can't be looked after: %s", error)

    async def _ensure_ports(self) -> None:
        """The firewall and DHCP know every port of this host, and no other."""
        async with self._changing:
            async with self._sessions() as session:
                on_host = select(Port).join(Server, Server.id == Port.server_id)
                on_host = on_host.where(Server.host == self._host).order_by(Port.server_id, Port.position)
                ports = (await session.scalars(on_host)).all()
            senders = [Sender(self._names.tap(port.id), port.mac, port.address) for port in ports]
            rules = firewall.rules(self._names, list(self._segments.values()), senders)
            if rules == self._rules:
                return
            await firewall.apply(rules)
            firsts = {port.server_id: port.address for port in reversed(ports)}.values()
            for network_id, dnsmasq in self._dnsmasqs.items():
                macs = {port.address: port.mac for port in ports if port.network_id == network_id}
                await dnsmasq.offer(macs, first=macs.keys() & firsts)
            self._rules = rules

    async def _ensure_bridges(self) -> None:
        async with _turn(), self._sessions.begin() as session:
            statement = select(Network).order_by(Network.label).with_for_update()
            for network in await session.scalars(statement):
                bridge = self._names.bridge(network.id)
                if network.chosen_by is None or not links.exists(bridge):
                    await self._choose_range(session, network, await links.used_ranges(but_by=bridge))
                cidr = IPv4Network(network.cidr)
                segment = Segment(bridge, IPv4Interface(f"{cidr[GATEWAY]}/{cidr.prefixlen}"))
                await links.ensure_bridge(bridge, segment.address)
                self._segments[network.id] = segment
                self._dnsmasqs.setdefault(network.id, Dnsmasq(self._directory, segment))

    async def _choose_range(self, session: AsyncSession, network: Network, used: list[IPv4Network]) -> None:
        """A range that leads nowhere else on this host, as long as the choice is free: no port has an address
        of it, and no other host's agent has chosen. Raises RenovaError.
        """
        clash = next((other for other in used if other.overlaps(IPv4Network(network.cidr))), None)
        chosen = network.chosen_by == self._host and clash is None
        ports = await session.scalar(select(Port.id).where(Port.network_id == network.id).limit(1))
        if ports is None and network.chosen_by in {None, self._host} and not chosen:
            network.cidr = str(links.free_range(self._names.tag + network.id, used))
            network.chosen_by = self._host
            log.info("The network %s has the range %s", network.label, network.cidr)
        elif clash is not None:
            raise RenovaError(
                f"{network.cidr} of the network {network.label} clashes with a route to {clash}"
            )


@contextlib.asynccontextmanager
async def _turn() -> AsyncIterator[None]:
    """One agent of this host at a time chooses ranges: the other sees its routes then."""
    directory = os.open("/run", os.O_RDONLY | os.O_DIRECTORY)
    try:
        await in_thread(fcntl.flock, directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)
