"""The SSH host keys of guests, as cloud-init writes them on the console when a system boots first.

What is on a console was written by the guest, and by whoever can write there. So a text is only looked at
for whole, well-formed keys; what was found of a generation first is never replaced; and it is kept beside the
disks of that generation, because a system that is gone back to does not write its keys again.
"""

import asyncio
import base64
import hashlib
import logging
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from renova.agent import disks
from renova.agent.files import in_thread, part_of, settle
from renova.agent.qemu.face import Hypervisor
from renova.errors import RenovaError
from renova.host_key import HOST_KEYS, HostKey

log = logging.getLogger(__name__)
# Seconds between two looks at every guest, and from a guest's start until its console is not read any more.
LOOK, PATIENCE = 5.0, 1800.0
# cloud-init makes a key of each type, and there are four; one of RSA with 16384 bits has 2,800 characters.
MOST_KEYS, LONGEST_LINE = 8, 4096
# cloud-init 22.4, tools/write-ssh-key-fingerprints: logger writes the fingerprints (after "<14>Nov 27 … : "),
# cat the keys.
_FINGERPRINTS, _KEYS = "SSH HOST KEY FINGERPRINTS-----", "SSH HOST KEY KEYS-----"
_FINGERPRINT = re.compile(r"(?:^|: )(\d{3,5}) (SHA256:[A-Za-z0-9+/]{43}) .*\((ED25519|ECDSA|RSA)\)\r*$")
_KEY = re.compile(r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) ([A-Za-z0-9+/]+={0,2})(?: .*|\r*)$")


def found_in(console: str) -> list[HostKey]:
    """The keys of the first whole block of keys, else of the first whole block of fingerprints.

    One of each type, in the order of the console; lines that are not well-formed are left out.
    """
    keys = _first_of_each_type(_keys(_block(console, _KEYS)))
    return keys or _first_of_each_type(_fingerprints(_block(console, _FINGERPRINTS)))


def _block(console: str, marker: str) -> list[str]:
    """The lines between the first two marks. Not by a regular expression: a console of nothing but beginnings
    would take it hours.
    """
    begin = console.find(f"-----BEGIN {marker}")
    end = console.find(f"-----END {marker}", begin)
    lines = console[begin:end].split("\n")[1:] if 0 <= begin < end else []
    return [line for line in lines if len(line) <= LONGEST_LINE]


def _first_of_each_type(keys: Iterator[HostKey]) -> list[HostKey]:
    found: dict[str, HostKey] = {}
    for key in keys:
        found.setdefault(key.type, key)
    return list(found.values())[:MOST_KEYS]


def _keys(lines: list[str]) -> Iterator[HostKey]:
    for line in lines:
        if (match := _KEY.match(line)) is None:
            continue
        kind, text = match[1], match[2]
        public_key = f"{kind} {text}"
        try:
            load_ssh_public_key(public_key.encode())
        except (ValueError, UnsupportedAlgorithm):
            continue
        digest = hashlib.sha256(base64.b64decode(text)).digest()
        yield HostKey(kind, "SHA256:" + base64.b64encode(digest).decode().rstrip("="), public_key)


def _fingerprints(lines: list[str]) -> Iterator[HostKey]:
    for line in lines:
        if match := _FINGERPRINT.search(line):
            bits, fingerprint, algorithm = match[1], match[2], match[3]
            names = {"ED25519": "ssh-ed25519", "RSA": "ssh-rsa", "ECDSA": f"ecdsa-sha2-nistp{bits}"}
            yield HostKey(names[algorithm], fingerprint, None)


def merged(kept: list[HostKey], seen: list[HostKey]) -> list[HostKey]:
    """What was found first stays; a key that is seen later is taken only for a fingerprint that it has."""
    if not kept:
        return seen
    public = {key.fingerprint: key for key in seen if key.public_key}
    return [key if key.public_key else public.get(key.fingerprint, key) for key in kept]


def carry(directory: Path, old: int, new: int) -> None:
    """A copy of a generation's disk has its keys, and does not write them again."""
    if disks.host_keys_path(directory, old).exists():
        shutil.copy(disks.host_keys_path(directory, old), disks.host_keys_path(directory, new))


class HostKeys:
    """Finds the keys of this host's guests and remembers them. Belongs to one event loop."""

    def __init__(self, hypervisor: Hypervisor, state_path: str | Path) -> None:
        self._hypervisor = hypervisor
        self._state_path = state_path
        # One look at a time: a file has one writer, and a busy host has better things to do.
        self._looking = asyncio.Lock()
        # (server, generation) -> until when its console is looked at without being asked; 0 for no more.
        self._watched: dict[tuple[str, int], float] = {}

    async def of(self, server_id: str, generation: int) -> list[HostKey]:
        """The keys of a generation; none as long as its console has not shown them."""
        async with self._looking:
            return await self._look(server_id, generation)

    async def watch(self) -> None:
        """Look at every guest that may yet show its keys: of a console only the newest part is kept."""
        specs = [machine.spec for machine in self._hypervisor.running()]
        now = time.monotonic()
        self._watched = {
            guest: self._watched.get(guest, now + PATIENCE)
            for guest in ((spec.server_id, spec.generation) for spec in specs)
        }
        for guest in [guest for guest, until in self._watched.items() if until > now]:
            try:
                keys = await self.of(*guest)
            except (OSError, RenovaError) as error:
                log.warning("server %s: its SSH host keys can't be kept: %s", guest[0], error)
                continue
            if keys and all(key.public_key for key in keys):
                self._watched[guest] = 0

    async def _look(self, server_id: str, generation: int) -> list[HostKey]:
        path = disks.host_keys_path(disks.server_directory(self._state_path, server_id), generation)
        kept = await in_thread(_read, path)
        if not self._runs(server_id, generation):
            return kept
        console = await self._hypervisor.console_output(server_id, None)
        # Still: a console of the next system would speak for this one.
        if not self._runs(server_id, generation):
            return kept
        keys = merged(kept, await in_thread(found_in, console))
        if keys != kept:
            await in_thread(_write, path, keys)
            names = ", ".join(key.fingerprint for key in keys)
            log.info("server %s: generation %s has the SSH host keys %s", server_id, generation, names)
        return keys

    def _runs(self, server_id: str, generation: int) -> bool:
        machine = self._hypervisor.get(server_id)
        return machine is not None and machine.spec.generation == generation


def _read(path: Path) -> list[HostKey]:
    try:
        return HOST_KEYS.validate_json(path.read_bytes())
    except FileNotFoundError:
        return []


def _write(path: Path, keys: list[HostKey]) -> None:
    """Nothing where the server is being deleted and its directory has gone."""
    with suppress(FileNotFoundError), part_of(path, f"the host keys {path.name}") as part:
        part.write_bytes(HOST_KEYS.dump_json(keys))
        settle(part, path)
