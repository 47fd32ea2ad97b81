"""The guests that `renova demo` and the slow tests boot: does one do what its users rely on?"""

import base64
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from renova.agent import config_drive
from renova.agent.config_drive import ConfigDrive
from renova.agent.host_keys import found_in
from tests.guest.linux import ADDRESS, MAC, LinuxGuest, shared_image

USER_DATA = b"""#!/bin/sh
echo "proof $(printf 'nonce %s' "$(cat /etc/renova-secret)" | sha256sum)"
exit 3
"""
CONFIG_DRIVE = ConfigDrive(
    uuid="7f3c2d1e-0000-4000-8000-000000000001",
    name='a "quoted" name',
    hostname="web-1",
    project_id="p",
    availability_zone="nova",
    launch_index=0,
    network_data={
        "links": [{"id": "tap0", "type": "phy", "ethernet_mac_address": MAC}],
        "networks": [{"id": "network0", "type": "ipv4", "link": "tap0", "ip_address": ADDRESS}],
    },
    metadata={"color": "blue {", "tick": "yes"},
    key_name="laptop",
    public_key="ssh-ed25519 AAAAC3Nz me@laptop\n",
    user_data=base64.b64encode(USER_DATA).decode(),
)

Boot = Callable[[], LinuxGuest]


@pytest.fixture
def boot(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Boot]:
    """Boots a guest with the config drive of this file, once in a test. A parameter is for an SSH server."""
    with tempfile.TemporaryDirectory(prefix="renova-") as directory, ExitStack() as guests:
        drive = Path(directory) / "config.iso"
        config_drive.build(drive, CONFIG_DRIVE)
        image = shared_image(tmp_path_factory, ssh=hasattr(request, "param"))
        yield lambda: guests.enter_context(LinuxGuest(image, drive, Path(directory)))


def test_guest_tells_what_its_config_drive_and_its_lease_say(boot: Boot) -> None:
    guest = boot()
    guest.wait_for("guest user data: .*")
    guest.wait_for("tick 1 .*")
    said = [line for line in guest.console().splitlines() if not line.startswith("tick")]
    proof = hashlib.sha256(b"nonce secret of alpha").hexdigest()
    assert [line for line in said if not line.startswith(("guest kernel", "guest ready"))] == [
        "guest os: alpha 1",
        "guest boot: 1",
        'guest name: a "quoted" name',
        "guest hostname: web-1",
        "guest uuid: 7f3c2d1e-0000-4000-8000-000000000001",
        "guest metadata: color=blue {",
        "guest metadata: tick=yes",
        "guest key: laptop ssh-ed25519 AAAAC3Nz me@laptop",
        f"guest network data: mac {MAC}",
        f"guest network data: address {ADDRESS}",
        f"guest address: {ADDRESS}/24 {MAC}",
        f"proof {proof}  -",
        "guest user data: exit status 3",
    ]
    guest.press_power_button()
    guest.wait_for("guest powering off")
    assert guest.ends()


def test_agent_answers_whoever_asks_and_however(boot: Boot) -> None:
    guest = boot()
    guest.wait_for("guest ready: .*")
    with guest.agent() as agent:
        answer = agent.ask(b'{"execute": "guest-sync", "arguments": {"id": 9007199254740993}}\n')
        assert json.loads(answer) == {"return": 9007199254740993}
        assert json.loads(agent.ask(b'{"execute":\n"guest-ping"}')) == {"return": {}}
        assert json.loads(agent.ask(b'{"execute": "guest-fly {"}\n'))["error"]["class"] == "CommandNotFound"
        assert json.loads(agent.ask(b"{}\n"))["error"]["class"] == "GenericError"
        set_password = (
            b'{"execute": "guest-set-user-password", "arguments": {"username": "root", "password": "'
        )
        assert json.loads(agent.ask(set_password + b'c2VjcmV0", "crypted": false}}\n')) == {"return": {}}
        guest.wait_for(f"guest password: root {hashlib.sha256(b'secret').hexdigest()}  -")
        assert "error" in json.loads(agent.ask(set_password + b"'; reboot '\"}}\n"))
        agent.send(b'{"execute": "half a request')
        answer = agent.ask(b'\xff{"execute": "guest-sync-delimited", "arguments": {"id": 7}}\n')
        assert answer == b'\xff{"return": 7}\n'
        agent.send(b'{"execute": "the other half')
    with guest.agent() as agent:
        commands = json.loads(agent.ask(b'\xff{"execute": "guest-info"}\n'))["return"]["supported_commands"]
        assert {"guest-ping", "guest-shutdown"} <= {command["name"] for command in commands}
        agent.send(b'{"execute": "guest-shutdown", "arguments": {"mode": "powerdown"}}\n')
        assert guest.ends()


def test_user_data_runs_once_in_the_life_of_a_disk(boot: Boot) -> None:
    guest = boot()
    guest.wait_for("guest user data: .*")
    with guest.agent() as agent:
        agent.send(b'{"execute": "guest-shutdown", "arguments": {"mode": "reboot"}}\n')
        guest.wait_for("guest boot: 2\n(.*\n)*guest ready: .*")
        guest.press_power_button()
        assert guest.ends()
    assert guest.console().count("proof") == 1


@pytest.mark.parametrize("boot", ["ssh"], indirect=True)
def test_one_with_an_ssh_server_tells_its_host_key_and_serves(boot: Boot) -> None:
    guest = boot()
    guest.wait_for("guest ready: .*")
    (key,) = found_in(guest.console())
    assert key.type == "ssh-ed25519"
    assert "No such file" not in guest.console()
    assert "No space left" not in guest.console()
