"""Clients that know nothing of Renova, each through a server's life, against a cloud of its own.

    make clients [STATE=dir] [PORT_OFFSET=n]

Each creates a server, waits, rebuilds it with another image, waits, shows it, deletes it and waits again.
Ends with 0 if all of them have, and Renova's record says that create, rebuild and delete went well.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import yaml

from renova.cloud.state import State
from tests.functional.cloud_client import Client
from tests.functional.shared_cloud import Cloud, free_port_offset, running
from tests.guest.boot_sector import Then

HERE = Path(__file__).parent
FLAVOR = "1"
LIVES = {
    "the openstack command": ["sh", "cli.sh"],
    "openstacksdk": [sys.executable, "sdk.py"],
    "fog-openstack": ["ruby", "fog.rb"],
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--state", type=Path, help="where the cloud is made, and left (default: temporary)")
    parser.add_argument("--port-offset", type=int, help="added to every port (default: one that is free)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="renova-clients-") as path:
        directory = Path(path)
        # PostgreSQL and QEMU run as users of their own, who have to get through.
        directory.chmod(0o711)
        offset = free_port_offset() if options.port_offset is None else options.port_offset
        state = State((options.state or directory / "state").resolve(), offset)
        with running(state, directory / "up.log") as cloud:
            client = Client(cloud, directory)
            images = [client.image(f"I am the {which}", Then.OBEY) for which in ("first", "second")]
            failures = [name for name, program in LIVES.items() if not lives(cloud, name, program, images)]
            client.close()
    return 1 if failures else 0


def lives(cloud: Cloud, name: str, program: list[str], images: list[str]) -> bool:
    """Whether this client brings a server through its life; says so."""
    interpreter, script = program
    life = subprocess.run(
        [interpreter, str(HERE / script), *images, FLAVOR],
        env=environment(cloud),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if life.returncode:
        print(f"failed  {name}\n{life.stdout}{life.stderr}")
        return False
    done = deeds(cloud, life.stdout.split()[-1])
    well = done == ["create", "rebuild", "delete"]
    print(f"{'success' if well else 'failed '} {name}: {', '.join(done)}", flush=True)
    return well


def environment(cloud: Cloud) -> dict[str, str]:
    """What a client finds its cloud by: clouds.yaml, and the variables of an openrc file for those that don't
    read it.
    """
    auth = yaml.safe_load(cloud.clouds_yaml.read_text())["clouds"]["renova"]["auth"]
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OS_CLIENT_CONFIG_FILE": str(cloud.clouds_yaml),
        "OS_CLOUD": "renova",
        "OS_AUTH_URL": auth["auth_url"],
        "OS_USERNAME": auth["username"],
        "OS_PASSWORD": auth["password"],
        "OS_PROJECT_NAME": auth["project_name"],
    }


def deeds(cloud: Cloud, server_id: str) -> list[str]:
    """What was done to a server that is gone, oldest first; with its error where one failed."""
    answer = httpx.get(
        f"{cloud.compute_url}/servers/{server_id}/os-instance-actions",
        headers={"X-Auth-Token": cloud.token(), "OpenStack-API-Version": "compute 2.21"},
    )
    actions = answer.raise_for_status().json()["instanceActions"]
    return [action["message"] or action["action"] for action in reversed(actions)]


if __name__ == "__main__":
    sys.exit(main())
