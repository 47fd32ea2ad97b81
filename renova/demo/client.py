"""The user of the demo: the `openstack` client, and plain requests for what the client leaves out."""

import asyncio
import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from renova.demo.errors import DemoError

CLOUD = "renova"


class Client:
    """Acts as a user of clouds.yaml, a project's member unless said otherwise; tells each command through
    `say`.
    """

    def __init__(self, clouds: Path, say: Callable[[str], None], cloud: str = CLOUD) -> None:
        self._program = Path(sys.executable).parent / "openstack"
        self._clouds = clouds
        self.say = say
        self._cloud = cloud
        self._connection: Any = None
        if not self._program.exists():
            raise DemoError("the openstack client is missing: install Renova with the extra `dev`")

    async def run(self, *command: str, quiet: bool = False) -> str:
        """What `openstack COMMAND` prints. Raises DemoError with the client's complaint if it fails.

        "Progress: 40" is told as it comes.
        """
        if not quiet:
            self.say(f"$ openstack --os-cloud {self._cloud} {shlex.join(command)}")
        others = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        process = await asyncio.create_subprocess_exec(
            self._program,
            *("--os-cloud", self._cloud, *command),
            env={**others, "OS_CLIENT_CONFIG_FILE": str(self._clouds)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            printed, complaints = await asyncio.gather(self._follow(process.stdout), process.stderr.read())
            status = await process.wait()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        if status:
            complaint = complaints.decode(errors="replace").strip().rpartition("\n")[2]
            raise DemoError(f"`openstack {shlex.join(command)}` failed: {complaint}")
        return printed

    async def server(self, server_id: str) -> dict[str, Any]:
        """The server as microversion 2.1 shows it: the client leaves out the MAC."""
        server: dict[str, Any] = (await self.get(f"/servers/{server_id}"))["server"]
        return server

    async def get(self, path: str, version: str = "2.1") -> dict[str, Any]:
        """What the compute API answers. Raises what openstacksdk does."""
        return await asyncio.to_thread(self._get, path, version)

    async def events(self, server_id: str, version: str) -> list[dict[str, Any]]:
        """The events of all actions on a server, oldest first."""
        path = f"/servers/{server_id}/os-instance-actions"
        actions = (await self.get(path, version))["instanceActions"]
        events = []
        for action in reversed(actions):
            answer = await self.get(f"{path}/{action['request_id']}", version)
            events += sorted(answer["instanceAction"]["events"], key=lambda event: str(event["start_time"]))
        return events

    async def _follow(self, stream: asyncio.StreamReader) -> str:
        printed, told = "", ""
        while chunk := await stream.read(4096):
            printed += chunk.decode(errors="replace")
            # The client writes it again and again on one line.
            last = re.findall(r"Progress: \d+", printed)[-1:]
            if last and last[0] != told:
                told = last[0]
                self.say(f"  {told}")
        return printed

    def _get(self, path: str, version: str) -> dict[str, Any]:
        import openstack

        if self._connection is None:
            config = openstack.config.OpenStackConfig(config_files=[str(self._clouds)], load_envvars=False)
            self._connection = openstack.connection.Connection(config=config.get_one(self._cloud))
        response = self._connection.compute.get(path, microversion=version)
        openstack.exceptions.raise_from_response(response)
        answer: dict[str, Any] = response.json()
        return answer
