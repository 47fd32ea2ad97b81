"""The demo from its first line to its last: a cloud, a server, and what `acts` do to it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from renova.cloud.state import State
from renova.demo import cloud
from renova.demo.acts import Acts, Verdicts
from renova.demo.client import Client
from renova.demo.errors import DemoError
from renova.demo.images import IMAGES, NEW, OLD, Images
from renova.demo.progress import Progress


class Story:
    """One run of the demo. `work` is a directory for images, keys and the script."""

    def __init__(self, state: State, work: Path, progress: Progress) -> None:
        self._state = state
        self._work = work
        self._progress = progress
        # What a guest has said, by the name of its system; kept with the logs if something fails.
        self.consoles: dict[str, str] = {}

    async def tell(self) -> bool:
        """Whether every act proved what it had to. Raises DemoError, GuestError."""
        client = Client(self._state.path / "clouds.yaml", self._progress.say)
        images = Images(self._work, self._progress.say)
        try:
            async with asyncio.TaskGroup() as group:
                building = group.create_task(asyncio.to_thread(images.build))
                async with cloud.running(self._state, self._progress):
                    await building
                    async with _cleaned_up(client):
                        return await self._act(client, images)
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _act(self, client: Client, images: Images) -> bool:
        await images.upload(client)
        for key in (OLD, NEW):
            await client.run("keypair", "create", "--private-key", str(self._work / key), key)
        acts = Acts(client, images, self._work, self._progress, self.consoles)
        verdicts: Verdicts = []
        for act in (acts.create, acts.plan, acts.rebuild, acts.rebuild_to_what_does_not_boot, acts.undo):
            verdicts += await act()
        print("", *(f"{'yes' if right else 'NO '}  {what}" for what, right in verdicts), "", sep="\n")
        return all(right for _, right in verdicts)


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
            await client.run("image", "delete", *IMAGES)
