"""python -m proof [--state DIR] [--port-offset N]: ends with 0 only if every check holds, in both modes."""

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from proof.checks import Checks
from proof.login import USER
from proof.story import FIRST, FLAVOR, SECOND, Story
from renova.cloud.state import State
from renova.demo import cloud
from renova.demo.client import Client
from renova.demo.progress import Progress
from renova.errors import RenovaError
from renova.guests.debian import build
from renova.guests.packages import default_directory

IMAGES = Path("build/guests").absolute()
# How its servers are reached and whose rules it follows, of one cloud after the other.
CLOUDS = (("bridge", "noa"), ("user", "nova"))
# Seconds for all of it, without KVM on a busy host.
PATIENCE = 3600.0
# The guests are Debian, which takes its time without KVM.
CONF = """\
[network]
mode = {mode}
[compute]
profile = {profile}
shutdown_timeout = 120
[rebuild]
agent_timeout = 900
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, help="where the cloud is made, and left (default: temporary)")
    parser.add_argument("--port-offset", type=int, help="added to every port (default: one that is free)")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print(
            "make guest: this needs root, for the files of a Debian image and for a bridge", file=sys.stderr
        )
        return 2
    progress = Progress()
    checks = Checks(progress)
    with tempfile.TemporaryDirectory(prefix="renova-guest-", ignore_cleanup_errors=True) as directory:
        work = Path(directory)
        # PostgreSQL and QEMU run as users of their own, who pass through here.
        work.chmod(0o711)
        offset = cloud.free_port_offset() if options.port_offset is None else options.port_offset
        state = State((options.state or work / "state").resolve(), offset)
        finished = False
        try:
            asyncio.run(_prove(state, work, checks))
            finished = True
        except* RenovaError as failures:
            for failure in failures.exceptions:
                progress.say(f"failed: {failure}")
        except* (asyncio.CancelledError, KeyboardInterrupt):
            progress.say("interrupted")
        except* TimeoutError:
            progress.say(f"failed: not done within {PATIENCE:.0f} s")
        if not (finished and checks.all_hold):
            progress.say(f"logs are in {_keep_logs(state)}")
    progress.say(checks.summary())
    return 0 if finished and checks.all_hold else 1


async def _prove(state: State, work: Path, checks: Checks) -> None:
    progress, task = checks.progress, asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with asyncio.timeout(PATIENCE):
        async with progress.during("building two images of Debian 12, unless they are there already"):
            images = await asyncio.to_thread(build, IMAGES, (FIRST, SECOND), packages_dir=default_directory())
        for mode, profile in CLOUDS:
            _configure(state, mode, profile)
            async with cloud.running(state, progress):
                client = Client(state.path / "clouds.yaml", progress.say)
                admin = Client(state.path / "clouds.yaml", progress.say, "renova-admin")
                if (mode, profile) == CLOUDS[0]:
                    await _prepare(client, admin, images, work)
                progress.say(f"== [network] mode = {mode}, [compute] profile = {profile}")
                await Story(client, admin, checks, progress, work, mode, profile).tell()


def _configure(state: State, mode: str, profile: str) -> None:
    local = state.path / "local"
    local.mkdir(mode=0o711, parents=True, exist_ok=True)
    state.path.chmod(0o711)
    (local / "renova.conf").write_text(CONF.format(mode=mode, profile=profile))


async def _prepare(client: Client, admin: Client, images: dict[str, Path], work: Path) -> None:
    """Images, key pairs, and a flavor in which Debian has room."""
    await admin.run(
        "flavor",
        "create",
        "--ram",
        "1024",
        "--disk",
        "2",
        "--ephemeral",
        "1",
        "--vcpus",
        "2",
        FLAVOR,
    )
    for name, file in images.items():
        await client.run(
            *("image", "create", "--disk-format", "qcow2", "--container-format", "bare", "--file", str(file)),
            *("--property", "hw_qemu_guest_agent=yes", "--property", f"os_admin_user={USER}"),
            *("-f", "value", "-c", "id", name),
        )
        await client.run("keypair", "create", "--private-key", str(work / name), name)
        (work / name).chmod(0o600)  # OpenSSH takes no other.


def _keep_logs(state: State) -> Path:
    kept = Path(tempfile.mkdtemp(prefix="renova-guest-logs-"))
    if (state.path / "logs").is_dir():
        shutil.copytree(state.path / "logs", kept, dirs_exist_ok=True)
    return kept


if __name__ == "__main__":
    sys.exit(main())
