"""The SSH client of a person who knows which host key to expect, and takes no other."""

import asyncio
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

USER = "debian"
# Seconds that one login may take: a guest without KVM on a busy host needs half a minute.
PATIENCE = 240.0
# What known_hosts calls the guest, so that it does not matter through which port it is reached.
ALIAS = "guest"
_HOST_KEY = re.compile(r"^debug1: Server host key: (\S+ SHA256:\S+)\r?$", re.MULTILINE)
_SHOWN = re.compile(r"^debug1: (?:Offering public key: |Next authentication method: password)", re.MULTILINE)
# Prints the password where ssh would ask a person for it: ssh takes one from no argument and no pipe.
_ASKPASS = """#!/bin/sh
printf '%s\\n' "$RENOVA_PASSWORD"
"""


@dataclass(frozen=True)
class Credential:
    """What is shown to sshd, and nothing besides: options of ssh, and variables of its environment."""

    options: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict)


def private_key(file: Path) -> Credential:
    return Credential(
        {"IdentityFile": str(file), "PreferredAuthentications": "publickey", "BatchMode": "yes"}
    )


def password(word: str, work: Path) -> Credential:
    """`work` gets the program that ssh asks."""
    askpass = work / "askpass"
    askpass.write_text(_ASKPASS)
    askpass.chmod(0o700)
    return Credential(
        {"PreferredAuthentications": "password", "NumberOfPasswordPrompts": "1"},
        {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force", "RENOVA_PASSWORD": word},
    )


@dataclass(frozen=True)
class Answer:
    """How a login ended. `host_key` is what the server on the other side proved to have, "" if it never came
    to that.
    """

    status: int
    printed: str
    complaints: str

    @property
    def host_key(self) -> str:
        found = _HOST_KEY.search(self.complaints)
        return found[1] if found else ""

    @property
    def denied(self) -> bool:
        """Refused by sshd for the key or password that was shown to it, after the host key was accepted."""
        shown = _SHOWN.search(self.complaints)
        return (
            self.status == 255
            and shown is not None
            and "debug1: Authentications that can continue: publickey" in self.complaints[shown.end() :]
            and f"{USER}@" in self.last_words
            and "Permission denied (publickey" in self.last_words
        )

    @property
    def distrusted(self) -> bool:
        """Given up by the client, because it knows another host key."""
        return self.status == 255 and "REMOTE HOST IDENTIFICATION HAS CHANGED" in self.complaints

    @property
    def last_words(self) -> str:
        lines = [line for line in self.complaints.splitlines() if not line.startswith("debug1:")]
        return lines[-1].strip() if lines else ""

    @property
    def facts(self) -> dict[str, str]:
        """What the script printed, lines "name: value"."""
        pairs = (line.partition(": ") for line in self.printed.splitlines())
        return {name: value.strip() for name, _, value in pairs}


async def log_in(
    place: tuple[str, int], credential: Credential, known: Sequence[str], work: Path, script: str
) -> Answer:
    """Run a script as the image's user, at host and port. `known` are public keys, of which the server has to
    have one.
    """
    known_hosts = work / "known_hosts"
    await asyncio.to_thread(known_hosts.write_text, "".join(f"{ALIAS} {line}\n" for line in known))
    host, port = place
    options = {
        "ConnectTimeout": "60",
        "GlobalKnownHostsFile": "/dev/null",
        "HostKeyAlias": ALIAS,
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(known_hosts),
        **credential.options,
    }
    process = await asyncio.create_subprocess_exec(
        *("ssh", "-F", "none", "-v", "-p", str(port)),
        *(word for name, value in options.items() for word in ("-o", f"{name}={value}")),
        *(f"{USER}@{host}", "sh -s"),
        env={**os.environ, **credential.environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            printed, complaints = await process.communicate(script.encode())
    except TimeoutError:
        return Answer(-1, "", f"no end after {PATIENCE:.0f} s")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Answer(
        process.returncode or 0, printed.decode(errors="replace"), complaints.decode(errors="replace")
    )
