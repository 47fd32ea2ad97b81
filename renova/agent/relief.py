"""Guests that stand still because the host's disk is full, and what helps them.

QEMU stops a guest whose write fails (`werror=stop`), so that it loses nothing. Here room is made for it, and
it goes on; until then the server's row says how it is.
"""

import logging
from collections.abc import Mapping

from renova.agent.qemu.face import Hypervisor
from renova.agent.space import MIB, Space
from renova.compute import power
from renova.db.session import Sessions
from renova.errors import RenovaError

log = logging.getLogger(__name__)
# Seconds between two looks.
LOOK_AGAIN = 2.0
# With less than this, guests are not let go on, and room is made before anybody asks: a PostgreSQL on the
# same file system can't live without space for its next segment of 16 MiB.
LEAST = 32 * MIB


class Relief:
    """`look` is to be called again and again; most times there is nothing to do."""

    def __init__(self, host: str, sessions: Sessions, hypervisor: Hypervisor, space: Space) -> None:
        self._host = host
        self._sessions = sessions
        self._hypervisor = hypervisor
        self._space = space
        # An agent before this one may have said that servers stand still.
        self._said = True
        self._short = False

    async def look(self) -> None:
        """Make room where there is next to none, let stalled guests go on, and say how they are."""
        enough = await self._space.reclaim(LEAST)
        if self._short == enough:
            self._short = not enough
            log.warning(
                "The host's disk is full." if self._short else "There is room on the host's disk again."
            )
        stalled = {}
        for machine in self._hypervisor.stalled():
            why = f"The server stands still because {machine.stalled}. It goes on when that has changed."
            stalled[machine.spec.server_id] = why
            if enough:
                try:
                    await machine.go_on()
                except RenovaError as error:
                    log.warning("server %s can't go on: %s", machine.spec.server_id, error)
        if stalled or self._said:
            await self._say(stalled)

    async def _say(self, stalled: Mapping[str, str]) -> None:
        async with self._sessions.begin() as session:
            for server_id, reason in stalled.items():
                if await power.note_stall(session, server_id, reason):
                    log.warning("server %s: %s", server_id, reason)
            for server_id in await power.paused_servers(session, self._host):
                machine = self._hypervisor.get(server_id)
                if server_id not in stalled and machine is not None and not machine.ended.done():
                    await power.note_going_on(session, server_id)
            self._said = bool(await power.paused_servers(session, self._host))
