"""What the demo does to its server, one act after the other, and what each of them has to prove."""

import hashlib
import json
import secrets
from pathlib import Path
from typing import Any

from renova.demo.client import Client
from renova.demo.comparison import compare, compare_kept, facts, seconds_between, table
from renova.demo.errors import DemoError
from renova.demo.images import EMPTY, NEW, OLD, Images
from renova.demo.progress import Progress

FLAVOR = "m1.nano"
# Seconds that a guest has to start and to say what it has to say.
PATIENCE = 120.0
# The microversions from which a rebuild takes user_data, and a server's owner sees the events of its actions.
USER_DATA_SINCE, EVENTS_SINCE = "2.57", "2.51"
# What it prints can be computed only where both the script and the secret of the new image are.
USER_DATA = """#!/bin/sh
echo "proof $(printf '%s%s' {nonce} "$(cat /etc/renova-secret)" | sha256sum | cut -d ' ' -f 1)"
"""
# What was to be shown, and whether it was.
Verdicts = list[tuple[str, bool]]


class Acts:
    """One server. `consoles` is filled with what its guests say, by the system's name."""

    def __init__(
        self, client: Client, images: Images, work: Path, progress: Progress, consoles: dict[str, str]
    ) -> None:
        self._client = client
        self._images = images
        self._work = work
        self._progress = progress
        self._consoles = consoles
        self._server_id = ""
        self._before: dict[str, str] = {}

    async def create(self) -> Verdicts:
        created = await self._client.run(
            *("server", "create", "--wait", "--image", OLD, "--flavor", FLAVOR, "--key-name", OLD),
            *("--property", "stage=before", "-f", "json", OLD),
        )
        # The client's progress comes before.
        self._server_id = json.loads(created[created.index("{") :])["id"]
        await self._listen(OLD, "guest ready: ")
        self._before = await self._facts(OLD)
        return []

    async def plan(self) -> Verdicts:
        """A look at what the rebuild will do; the guest does not notice."""
        told = await self._client.run(
            *("server", "plan", "rebuild", "--image", NEW, "--name", NEW, self._server_id)
        )
        print(told, flush=True)
        plan = json.loads(
            await self._client.run(
                *("server", "plan", "rebuild", "--image", NEW, "--name", NEW, "-f", "json", self._server_id),
                quiet=True,
            )
        )
        server = await self._client.server(self._server_id)
        return [
            ("the plan said that the rebuild is possible", plan["possible"] is True),
            ("and changed nothing", (server["name"], server["status"]) == (OLD, "ACTIVE")),
        ]

    async def rebuild(self) -> Verdicts:
        nonce = secrets.token_hex(16)
        script = self._work / "user-data"
        script.write_text(USER_DATA.format(nonce=nonce))
        proof = f"proof {hashlib.sha256(f'{nonce}{self._images.secrets[NEW]}'.encode()).hexdigest()}"
        await self._client.run(
            *("--os-compute-api-version", USER_DATA_SINCE, "server", "rebuild", "--wait", "--image", NEW),
            *("--name", NEW, "--property", "stage=after", "--key-name", NEW),
            *("--user-data", str(script), self._server_id),
        )
        await self._listen(NEW, proof)
        rows = compare(self._before, await self._facts(NEW))
        events = await self._events()
        timed = [(event["event"], seconds_between(event), str(event["result"])) for event in events]
        compared = [(row.what, row.before, row.after, row.verdict) for row in rows]
        print("", *table([("EVENT", "SECONDS", "RESULT"), *timed]), sep="\n")
        print("", *table([("", "BEFORE", "AFTER", ""), *compared]), "", sep="\n", flush=True)
        said = self._consoles[NEW].splitlines()
        return [
            ("the rebuild kept what it had to and changed what it had to", all(row.is_right for row in rows)),
            ("the new guest computed sha256(nonce of this run + secret of the new image)", proof in said),
            ("the old guest never said it", proof not in self._consoles[OLD]),
            (
                "every event ended with Success",
                bool(events) and all(event["result"] == "Success" for event in events),
            ),
        ]

    async def rebuild_to_what_does_not_boot(self) -> Verdicts:
        """Nothing is lost: the system that ran runs again, and who looks is told."""
        self._progress.say("now a rebuild to a disk with nothing on it")
        await self._client.run("server", "rebuild", "--wait", "--image", EMPTY, self._server_id)
        server = await self._client.server(self._server_id)
        self._progress.say(f"fault: {server.get('fault', {}).get('message')}")
        await self._listen(NEW, "guest ready: ")
        after = await self._facts(NEW)
        return [
            ("the rebuild to an empty disk was taken back by itself", "fault" in server),
            (
                "and the server runs the system that it ran before",
                after["the guest's own OS"].startswith("beta"),
            ),
        ]

    async def undo(self) -> Verdicts:
        await self._client.run("server", "undo", "rebuild", "--wait", self._server_id)
        await self._listen(OLD, "guest ready: ")
        rows = compare_kept(self._before, await self._facts(OLD))
        return [("undo brought back the first system and all its values", all(row.is_right for row in rows))]

    async def _facts(self, system: str) -> dict[str, str]:
        server: dict[str, Any] = await self._client.server(self._server_id)
        return facts(server, self._images.names, self._consoles[system])

    async def _events(self) -> list[dict[str, Any]]:
        return await self._client.events(self._server_id, EVENTS_SINCE)

    async def _listen(self, system: str, awaited: str) -> None:
        """Wait for a line of the guest that begins with `awaited`; what it has said then is in `consoles`."""
        deadline = self._progress.seconds + PATIENCE
        self._progress.say(f"the guest says (openstack console log show {self._server_id}):")
        while self._progress.seconds < deadline:
            console = await self._client.run("console", "log", "show", self._server_id, quiet=True)
            self._consoles[system] = console
            lines = console.splitlines()
            if any(line.startswith(awaited) for line in lines):
                for line in lines:
                    if line.startswith(("guest ", "proof ")):
                        self._progress.say(f"  | {line}")
                return
        raise DemoError(f"the guest of {system} did not say {awaited!r} within {PATIENCE:.0f} s")
