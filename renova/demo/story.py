"""The demo from its first line to its last."""

import asyncio
import hashlib
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from renova.cloud.state import State
from renova.demo import cloud
from renova.demo.client import Client
from renova.demo.comparison import compare, facts, seconds_between, table
from renova.demo.errors import DemoError
from renova.demo.progress import Progress
from renova.guests.image import build
from renova.guests.packages import default_directory

FLAVOR = "m1.nano"
OLD, NEW = "demo-old", "demo-new"
# Seconds that a guest has to start and to say what it has to say.
PATIENCE = 120.0
# The microversions from which a rebuild takes user_data, and a server's owner sees the events of its actions.
USER_DATA_SINCE, EVENTS_SINCE = "2.57", "2.51"
# What it prints can be computed only where both the script and the secret of the new image are.
USER_DATA = """#!/bin/sh
echo "proof $(printf '%s%s' {nonce} "$(cat /etc/renova-secret)" | sha256sum | cut -d ' ' -f 1)"
"""


class Story:
    """One run of the demo. `work` is a directory for images, keys and the script."""

    def __init__(self, state: State, work: Path, progress: Progress) -> None:
        self._state = state
        self._work = work
        self._say = progress.say
        self._progress = progress
        self._secrets = {OLD: secrets.token_hex(16), NEW: secrets.token_hex(16)}
        # What a guest has said, by the name of its server; kept with the logs if something fails.
        self.consoles: dict[str, str] = {}

    async def tell(self) -> bool:
        """Whether the rebuild kept, replaced and proved what it should. Raises DemoError, GuestError."""
        client = Client(self._state.path / "clouds.yaml", self._say)
        try:
            async with asyncio.TaskGroup() as group:
                building = group.create_task(asyncio.to_thread(self._build_images))
                async with cloud.running(self._state, self._progress):
                    images = await building
                    async with _cleaned_up(client):
                        return await self._rebuild_a_server(client, images)
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    def _build_images(self) -> dict[str, Path]:
        self._say(f"building two small Linux images; their packages are kept in {default_directory()}")
        images = {}
        for server, name, version in ((OLD, "alpha", "1"), (NEW, "beta", "2")):
            file = self._work / f"{name}-{version}.qcow2"
            secret = self._secrets[server]
            images[server] = build(
                file, name=name, version=version, secret=secret, packages_dir=default_directory()
            )
            self._say(f"built {file.name}: {file.stat().st_size / 1e6:.0f} MB")
        return images

    async def _rebuild_a_server(self, client: Client, images: dict[str, Path]) -> bool:
        image_names = {}
        for server, file in images.items():
            created = await client.run(
                *(
                    "image",
                    "create",
                    "--disk-format",
                    "qcow2",
                    "--container-format",
                    "bare",
                    "--file",
                    str(file),
                ),
                *("--property", "hw_qemu_guest_agent=yes", "-f", "json", server),
            )
            image_names[json.loads(created)["id"]] = file.stem
        for key in (OLD, NEW):
            await client.run("keypair", "create", "--private-key", str(self._work / key), key)

        created = await client.run(
            *("server", "create", "--wait", "--image", OLD, "--flavor", FLAVOR, "--key-name", OLD),
            *("--property", "stage=before", "-f", "json", OLD),
        )
        server_id: str = json.loads(created)["id"]
        await self._listen(client, server_id, OLD, "guest ready: ")
        before = facts(await client.server(server_id), image_names, self.consoles[OLD])

        nonce = secrets.token_hex(16)
        script = self._work / "user-data"
        script.write_text(USER_DATA.format(nonce=nonce))
        proof = f"proof {hashlib.sha256(f'{nonce}{self._secrets[NEW]}'.encode()).hexdigest()}"
        await client.run(
            *("--os-compute-api-version", USER_DATA_SINCE, "server", "rebuild", "--wait", "--image", NEW),
            *(
                "--name",
                NEW,
                "--property",
                "stage=after",
                "--key-name",
                NEW,
                "--user-data",
                str(script),
                server_id,
            ),
        )
        await self._listen(client, server_id, NEW, proof)
        after = facts(await client.server(server_id), image_names, self.consoles[NEW])
        return await self._judge(client, server_id, before, after, proof)

    async def _listen(self, client: Client, server_id: str, name: str, awaited: str) -> None:
        """Wait for a line of the guest that begins with `awaited`; what it has said then is in `consoles`."""
        deadline = self._progress.seconds + PATIENCE
        self._say(f"the guest says (openstack console log show {server_id}):")
        while self._progress.seconds < deadline:
            self.consoles[name] = await client.run("console", "log", "show", server_id, quiet=True)
            lines = self.consoles[name].splitlines()
            if any(line.startswith(awaited) for line in lines):
                for line in lines:
                    if line.startswith(("guest ", "proof ")):
                        self._say(f"  | {line}")
                return
        raise DemoError(f"the guest of {name} did not say {awaited!r} within {PATIENCE:.0f} s")

    async def _judge(
        self, client: Client, server_id: str, before: dict[str, str], after: dict[str, str], proof: str
    ) -> bool:
        rows = compare(before, after)
        events = await client.events(server_id, EVENTS_SINCE)
        verdicts = {
            "the new guest computed sha256(nonce of this run + secret of the new image)": proof
            in self.consoles[NEW].splitlines(),
            "the old guest never said it": proof not in self.consoles[OLD],
            "every event ended with Success": bool(events)
            and all(event["result"] == "Success" for event in events),
        }
        timed = [(event["event"], seconds_between(event), str(event["result"])) for event in events]
        compared = [
            (
                row.what,
                row.before,
                row.after,
                ("kept" if row.must_be_kept else "changed") if row.is_right else "WRONG",
            )
            for row in rows
        ]
        print("", *table([("EVENT", "SECONDS", "RESULT"), *timed]), sep="\n")
        print("", *table([("", "BEFORE", "AFTER", ""), *compared]), sep="\n")
        print("", *(f"{'yes' if right else 'NO '}  {what}" for what, right in verdicts.items()), "", sep="\n")
        return all(row.is_right for row in rows) and all(verdicts.values())


@asynccontextmanager
async def _cleaned_up(client: Client) -> AsyncIterator[None]:
    """Delete what the demo made, so that a state directory of the user's is as it was before."""
    try:
        yield
    finally:
        # Where the cloud is what failed there is nothing more to be done.
        with suppress(DemoError):
            servers = json.loads(await client.run("server", "list", "-f", "json", quiet=True))
            if ours := [server["ID"] for server in servers if server["Name"] in (OLD, NEW)]:
                await client.run("server", "delete", "--wait", *ours)
            await client.run("keypair", "delete", OLD, NEW)
            await client.run("image", "delete", OLD, NEW)
