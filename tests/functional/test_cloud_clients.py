"""The cloud through the client that its users have, as every user of clouds.yaml."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.functional.shared_cloud import Cloud


def openstack(cloud: Cloud, name: str, *arguments: str) -> str:
    environment = {**os.environ, "OS_CLIENT_CONFIG_FILE": str(cloud.clouds_yaml), "OS_CLOUD": name}
    program = Path(sys.executable).with_name("openstack")
    done = subprocess.run(
        [program, *arguments], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["renova", "renova-admin", "renova-reader"])
def test_every_user_of_clouds_yaml_sees_the_flavors(cloud: Cloud, name: str) -> None:
    flavors = openstack(cloud, name, "flavor", "list", "-f", "value", "-c", "Name")
    assert flavors.split() == ["m1.nano", "m1.tiny", "m1.small", "m1.medium"]


def test_a_member_uploads_an_image_and_a_reader_sees_it(cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(bytes(1024))
    made = openstack(
        cloud,
        "renova",
        *("image", "create", "--disk-format", "raw", "--container-format", "bare"),
        *("--file", str(tmp_path / "image"), "-f", "value", "-c", "id", "uploaded"),
    )
    seen = openstack(cloud, "renova-reader", "image", "show", made, "-f", "value", "-c", "status")
    openstack(cloud, "renova", "image", "delete", made)
    assert seen == "active"
