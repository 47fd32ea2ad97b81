"""The images of the demo: two small Linux systems, and a disk with nothing on it."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from renova.demo.client import Client
from renova.guests.image import build
from renova.guests.packages import default_directory
from renova.guests.programs import run

OLD, NEW, EMPTY = "demo-old", "demo-new", "demo-empty"
IMAGES = (OLD, NEW, EMPTY)
# What a system calls itself.
NAMES = {OLD: ("alpha", "1"), NEW: ("beta", "2")}


@dataclass
class Images:
    """`secrets` is what each system has in /etc/renova-secret; `names` what an image's id stands for."""

    work: Path
    say: Callable[[str], None]
    secrets: dict[str, str] = field(default_factory=lambda: {name: secrets.token_hex(16) for name in NAMES})
    names: dict[str, str] = field(default_factory=dict)
    _files: dict[str, Path] = field(default_factory=dict)

    def build(self) -> None:
        """Blocks for some seconds. Raises GuestError."""
        self.say(f"building two small Linux images; their packages are kept in {default_directory()}")
        for image, (name, version) in NAMES.items():
            file = self.work / f"{name}-{version}.qcow2"
            secret = self.secrets[image]
            build(file, name=name, version=version, secret=secret, packages_dir=default_directory())
            self.say(f"built {file.name}: {file.stat().st_size / 1e6:.0f} MB")
            self._files[image] = file
        self._files[EMPTY] = self.work / "empty.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", self._files[EMPTY], "8M")

    async def upload(self, client: Client) -> None:
        """The two systems promise a guest agent; of the empty disk nobody knows that it is one."""
        for image, file in self._files.items():
            promise = ("--property", "hw_qemu_guest_agent=yes") if image in NAMES else ()
            created = await client.run(
                *("image", "create", "--disk-format", "qcow2", "--container-format", "bare"),
                *("--file", str(file), *promise, "-f", "json", image),
            )
            self.names[json.loads(created)["id"]] = file.stem
