"""One server, two systems, two keys: what a person does, and what has to hold after each step."""

import asyncio
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proof.checks import Checks
from proof.login import USER, Answer, Credential, log_in, password, private_key
from renova.demo.client import Client
from renova.demo.errors import DemoError
from renova.demo.progress import Progress

FIRST, SECOND = "renova-first", "renova-second"
FLAVOR = "login"
# Seconds from a start until cloud-init is done, without KVM on a busy host.
BOOT = 900.0
POLL = 5.0
USER_DATA_SINCE, DETAILS_SINCE = "2.57", "2.84"
USER_DATA = "#!/bin/sh\necho {nonce} >>/var/lib/user-data-runs\n"
# To the root disk, and to the flavor's ephemeral disk.
WRITE = """
echo {mine} | sudo tee /root/mine
sudo mount -L ephemeral0 /mnt && echo {mine} | sudo tee /mnt/mine && sudo umount /mnt
sync
"""
# What somebody who is logged in sees. The first card that is not the loopback is the server's only one.
LOOK = """
. /etc/os-release
card=$(ls /sys/class/net | grep -v '^lo$')
echo "image: $IMAGE_ID"
echo "host name: $(hostname)"
echo "user data: $(sudo cat /var/lib/user-data-runs | tr '\\n' ' ')"
echo "mac: $(cat /sys/class/net/$card/address)"
echo "address: $(ip -4 -o addr show dev $card | sed 's/.*inet \\([^ ]*\\).*/\\1/')"
echo "root file: $(sudo sh -c 'cat /root/mine 2>&1')"
sudo mount -L ephemeral0 /mnt
echo "data file: $(cat /mnt/mine 2>&1)"
sudo umount /mnt
echo "root disk: $(df -h --output=size / | tail -1)"
"""


@dataclass
class System:
    """A system as it was right after its first boot: what its console showed, and what a login saw."""

    keys: list[dict[str, str]]
    answer: Answer

    @property
    def public_keys(self) -> list[str]:
        return [key["public_key"] for key in self.keys]

    @property
    def fingerprints(self) -> set[str]:
        return {f"{key['type']} {key['fingerprint']}" for key in self.keys}

    @property
    def facts(self) -> dict[str, str]:
        return self.answer.facts


@dataclass
class Story:
    """`work` has the private keys, FIRST and SECOND; `mode` is how the server is reached, and `profile` says
    whether adminPass has an effect.
    """

    client: Client
    admin: Client
    checks: Checks
    progress: Progress
    work: Path
    mode: str
    profile: str
    server_id: str = ""
    place: tuple[str, int] | None = None
    nonces: dict[str, str] = field(
        default_factory=lambda: {FIRST: secrets.token_hex(8), SECOND: secrets.token_hex(8)}
    )
    admin_pass: str = field(default_factory=lambda: secrets.token_hex(8))

    async def tell(self) -> None:
        """Raises DemoError where it can't go on. Whether everything holds is in `checks`."""
        mine = secrets.token_hex(8)
        first = await self.create(WRITE.format(mine=mine))
        before = await self.client.server(self.server_id)
        second = await self.rebuild(first)
        self.compare(first, second, before, await self.client.server(self.server_id), mine)
        await self.refused(f"the key of {FIRST}", self._key(FIRST), second, first)
        await self.admin_password(second, first)
        if self.mode == "bridge":
            await self.undo(first, second, mine)
        await self.client.run("server", "delete", "--wait", self.server_id)

    async def create(self, script: str) -> System:
        created = await self.client.run(
            *("server", "create", "--image", FIRST, "--flavor", FLAVOR, "--key-name", FIRST),
            *("--user-data", str(self._user_data(FIRST)), "-f", "value", "-c", "id", f"before-{self.mode}"),
        )
        self.server_id = created.strip()
        first = await self._system(FIRST, f"{script}\n{LOOK}")
        self._check_login("the first key lets in", first, FIRST)
        return first

    async def rebuild(self, first: System) -> System:
        await self.client.run(
            *("--os-compute-api-version", USER_DATA_SINCE, "server", "rebuild", "--wait", "--image", SECOND),
            *("--name", f"after-{self.mode}", "--key-name", SECOND, "--password", self.admin_pass),
            # Profile noa keeps the data disk of itself.
            *(("--preserve-ephemeral",) if self.profile == "nova" else ()),
            *("--user-data", str(self._user_data(SECOND)), self.server_id),
        )
        self.checks.same(
            "the server is reached at the same place", *map(str, (self.place, await self._place()))
        )
        second = await self._system(SECOND, LOOK)
        self._check_login("the second key lets in after the rebuild", second, SECOND)
        stranger = await self._log_in(self._key(SECOND), first.public_keys, "true")
        self.checks.check(
            "a client that knows only the first system's host key refuses to go on",
            stranger.distrusted and stranger.host_key in second.fingerprints,
            f"{stranger.last_words} ({stranger.host_key})",
        )
        return second

    def compare(
        self, first: System, second: System, before: dict[str, Any], after: dict[str, Any], mine: str
    ) -> None:
        """`before` and `after` are the server's; `mine` is what was written to both disks of the first."""
        old, new = first.facts, second.facts
        self.checks.same("the server has the same id", before["id"], after["id"])
        self.checks.same("and the same addresses and MAC", _addresses(before), _addresses(after))
        self.checks.same("the guest has the same MAC", old["mac"], new["mac"])
        self.checks.same("and the same address", old["address"], new["address"])
        self.checks.check(
            "these are the server's",
            new["mac"] in _addresses(after) and new["address"].partition("/")[0] in _addresses(after),
            _addresses(after),
        )
        self.checks.differs("the image is another", old["image"], new["image"])
        gone = new["root file"]
        self.checks.check(
            "the file on the root disk is gone",
            old["root file"] == mine and gone.endswith("No such file or directory"),
            gone,
        )
        self.checks.same("the file on the data disk is still there", mine, new["data file"])
        self.checks.check(
            "the host keys have all changed",
            not first.fingerprints & second.fingerprints,
            f"{_text(first)} -> {_text(second)}",
        )

    async def refused(self, what: str, credential: Credential, system: System, other: System) -> None:
        """sshd itself says no: who does not get that far proves nothing."""
        answer = await self._log_in(credential, system.public_keys, "true")
        self.checks.check(
            f"{what} is refused by sshd",
            answer.denied and answer.host_key in system.fingerprints - other.fingerprints,
            f"{answer.last_words} (sshd with {answer.host_key})",
        )

    async def admin_password(self, second: System, first: System) -> None:
        """The rebuild's adminPass is the guest's under profile nova, and means nothing under noa."""
        events = await self.admin.events(self.server_id, DETAILS_SINCE)
        said = [event["details"] for event in events if "adminPass" in (event["details"] or "")]
        asked = password(self.admin_pass, self.work)
        if self.profile == "noa":
            self.checks.check("no event tells of a password", bool(events) and not said, str(said))
            await self.refused("adminPass, which has no effect,", asked, second, first)
            return
        line = f"adminPass was set for the user {USER}"
        self.checks.check("the rebuild's event tells that the password was set", said == [line], str(said))
        answer = await self._log_in(asked, second.public_keys, LOOK)
        self.checks.check(
            "adminPass lets in, without any key",
            answer.status == 0 and answer.host_key == second.answer.host_key and answer.facts == second.facts,
            f"image {answer.facts.get('image')}" if answer.status == 0 else answer.last_words,
        )
        wrong = password(f"not-{self.admin_pass}", self.work)
        await self.refused("a wrong password", wrong, second, first)

    async def undo(self, first: System, second: System, mine: str) -> None:
        await self.client.run("server", "undo", "rebuild", "--wait", self.server_id)
        keys = await self._keys()
        self.checks.check(
            "after the undo the API knows the first system's host keys", keys == first.keys, _text(first)
        )
        back = System(keys, await self._until_in(FIRST, [key["public_key"] for key in keys], LOOK))
        self._check_login("the first key lets in again", back, FIRST)
        self.checks.same("the file on the root disk is back", mine, back.facts["root file"])
        self.checks.same("the file on the data disk was never away", mine, back.facts["data file"])
        for name in ("mac", "address", "image", "host name"):
            self.checks.same(f"the first {name} is back", first.facts[name], back.facts[name])
        self.checks.same("with its host key", first.answer.host_key, back.answer.host_key)
        await self.refused(f"the key of {SECOND}", self._key(SECOND), back, second)

    def _check_login(self, what: str, system: System, name: str) -> None:
        """Who is in, on which system, and that user_data ran exactly once in its life."""
        answer = system.answer
        facts = answer.facts
        said = ", ".join(f"{fact} {facts.get(fact)}" for fact in ("image", "host name", "root disk"))
        self.checks.check(what, answer.status == 0, said if answer.status == 0 else answer.last_words)
        if answer.status != 0:
            raise DemoError(f"without a login there is nothing more to be seen: {answer.complaints[-2000:]}")
        self.checks.check(
            "its host key is one that the API named",
            answer.host_key in system.fingerprints,
            f"sshd with {answer.host_key}; the API: {_text(system)}",
        )
        self.checks.same("it is the image", name, facts["image"])
        server_name = f"before-{self.mode}" if name == FIRST else f"after-{self.mode}"
        self.checks.same("the host name is the server's name", server_name, facts["host name"])
        self.checks.same("user_data ran exactly once", self.nonces[name], facts["user data"])

    async def _system(self, name: str, script: str) -> System:
        """The system that boots for the first time now, as soon as its console has shown its host keys, which
        is the last that cloud-init does.
        """
        async with self.progress.during("waiting for the guest's host keys in the API"):
            keys: list[dict[str, str]] = []
            deadline = self.progress.seconds + BOOT
            while not all(keys and key["public_key"] for key in keys or [{}]):
                if self.progress.seconds > deadline:
                    raise DemoError(f"the console has not shown the host keys within {BOOT:.0f} s")
                await asyncio.sleep(POLL)
                server = await self.client.server(self.server_id)
                if server["status"] == "ERROR":
                    raise DemoError(f"the server is in ERROR: {server.get('fault')}")
                keys = await self._keys()
        self.place = self.place or await self._place()
        return System(keys, await self._until_in(name, [key["public_key"] for key in keys], script))

    async def _until_in(self, name: str, known: list[str], script: str) -> Answer:
        """The first login that lets in or is refused for its key: a guest that is not up yet does neither."""
        deadline = self.progress.seconds + BOOT
        while True:
            answer = await self._log_in(self._key(name), known, script)
            decided = answer.status == 0 or answer.denied or answer.distrusted
            if decided or self.progress.seconds > deadline:
                return answer
            await asyncio.sleep(POLL)

    def _key(self, name: str) -> Credential:
        return private_key(self.work / name)

    async def _log_in(self, credential: Credential, known: list[str], script: str) -> Answer:
        assert self.place is not None, "_system comes first"
        return await log_in(self.place, credential, known, self.work, script)

    async def _keys(self) -> list[dict[str, str]]:
        answer = await self.client.get(f"/servers/{self.server_id}/ssh-host-keys")
        keys: list[dict[str, str]] = answer["ssh_host_keys"]
        return keys

    async def _place(self) -> tuple[str, int]:
        """Where the guest's SSH server is reached from this host."""
        if self.mode == "user":
            answer = await self.client.get(f"/servers/{self.server_id}/forwarded-ports")
            (port,) = answer["forwarded_ports"]
            return port["host_address"], port["host_port"]
        server = await self.client.server(self.server_id)
        ((address,),) = server["addresses"].values()
        return address["addr"], 22

    def _user_data(self, name: str) -> Path:
        script = self.work / f"user-data-{name}"
        script.write_text(USER_DATA.format(nonce=self.nonces[name]))
        return script


def _addresses(server: dict[str, Any]) -> str:
    cards = [card for network in server["addresses"].values() for card in network]
    return ", ".join(f"{card['addr']} {card['OS-EXT-IPS-MAC:mac_addr']}" for card in cards)


def _text(system: System) -> str:
    return ", ".join(sorted(system.fingerprints))
