"""DHCP and DNS of one network, by dnsmasq: without privileges from its first instruction on.

It knows each port's MAC and address and gives no others. Leases are kept nowhere: they follow from the
database. Source: dnsmasq(8).
"""

import asyncio
import contextlib
import logging
import pwd
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from renova.agent.networks.firewall import METADATA, Segment
from renova.errors import RenovaError

log = logging.getLogger(__name__)
# Seconds for a new one to answer, until one that ended is started again, and for one to end when told to.
START, PAUSE, STOP = 5.0, 1.0, 3.0
# To broadcast offers, to answer whoever has no address yet, and to listen below port 1024.
_CAPABILITIES = "-all,+net_admin,+net_raw,+net_bind_service"
_CONFIGURATION = """\
interface={bridge}
except-interface=lo
bind-interfaces
no-hosts
domain-needed
bogus-priv
dhcp-authoritative
leasefile-ro
no-ping
quiet-dhcp
dhcp-range={network},static,{netmask},12h
dhcp-option=tag:!first,option:router
dhcp-option=tag:first,option:classless-static-route,{metadata}/32,{gateway},0.0.0.0/0,{gateway}
dhcp-hostsfile={hosts}
pid-file
log-facility=-
"""


class Dnsmasq:
    """Belongs to the running event loop, and ends with this process whatever happens to it."""

    def __init__(self, directory: Path, segment: Segment) -> None:
        self._segment = segment
        self._configuration = directory / f"{segment.bridge}.conf"
        self._hosts = directory / f"{segment.bridge}.hosts"
        # Address -> MAC, of everything that the running process has ever been told.
        self._told: dict[str, str] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._changing = asyncio.Lock()

    async def offer(self, macs: Mapping[str, str], first: set[str]) -> None:
        """Give out these addresses, to the MAC of each; to the `first` of a server with the default route.

        Raises RenovaError where dnsmasq does not start.
        """
        lines = [
            ",".join((mac, *(["set:first"] if address in first else []), address))
            for address, mac in sorted(macs.items())
        ]
        async with self._changing:
            await asyncio.to_thread(self._write, "\n".join((*lines, "")))
            # dnsmasq would refuse to give an address to one MAC while it remembers that another leased it.
            moved = any(self._told.get(address, mac) != mac for address, mac in macs.items())
            if self._process is None or self._process.returncode is not None or moved:
                await self._end()
                await self._start()
                self._told = dict(macs)
            else:
                self._process.send_signal(signal.SIGHUP)
                self._told.update(macs)

    async def keep(self) -> None:
        """Start it again whenever it ends, until cancelled; then end it."""
        try:
            while True:
                process = self._process
                if process is not None:
                    await process.wait()
                async with self._changing:
                    if process is not self._process:
                        continue
                    log.warning("dnsmasq of %s ended and is started again", self._segment.bridge)
                    try:
                        await self._start()
                    except RenovaError as error:
                        log.warning("dnsmasq of %s: %s", self._segment.bridge, error)
                await asyncio.sleep(PAUSE)
        finally:
            await self._end()

    async def close(self) -> None:
        await self._end()

    async def _start(self) -> None:
        user = _user()
        self._process = await asyncio.create_subprocess_exec(
            *("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"),
            *(f"--{kind}={_CAPABILITIES}" for kind in ("inh-caps", "ambient-caps", "bounding-set")),
            *("--no-new-privs", "--pdeathsig=KILL"),
            *("dnsmasq", "--keep-in-foreground", f"--conf-file={self._configuration}", "--user="),
            stdin=asyncio.subprocess.DEVNULL,
            process_group=0,  # A terminal's ^C is for us.
        )
        deadline = time.monotonic() + START
        while not await self._answers():
            if self._process.returncode is not None:
                raise RenovaError(f"dnsmasq ended with status {self._process.returncode}; the log says why")
            if time.monotonic() > deadline:
                raise RenovaError(f"dnsmasq did not answer within {START:.0f} seconds")
            await asyncio.sleep(0.02)

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _answers(self) -> bool:
        """Whether it listens for questions over TCP: then it listens for all others too."""
        try:
            _, writer = await asyncio.open_connection(str(self._segment.address.ip), 53)
        except OSError:
            return False
        writer.close()
        return True

    def _write(self, hosts: str) -> None:
        self._hosts.parent.mkdir(mode=0o755, exist_ok=True)
        address = self._segment.address
        text = _CONFIGURATION.format(
            bridge=self._segment.bridge,
            network=address.network.network_address,
            netmask=address.netmask,
            gateway=address.ip,
            metadata=METADATA,
            hosts=self._hosts,
        )
        for path, content in ((self._configuration, text), (self._hosts, hosts)):
            path.write_text(content)
            path.chmod(0o644)  # Nothing in it is secret, and it is read by another user.


def _user() -> pwd.struct_passwd:
    """Debian's package makes a user of its own."""
    try:
        return pwd.getpwnam("dnsmasq")
    except KeyError:
        return pwd.getpwnam("nobody")
