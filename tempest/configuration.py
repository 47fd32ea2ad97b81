"""What tempest reads: accounts.yaml with the users of clouds.yaml, and tempest.conf."""

from collections.abc import Sequence
from configparser import ConfigParser
from pathlib import Path

import yaml

from renova.cloud.state import State
from tests.functional.cloud_client import Client
from tests.functional.shared_cloud import Cloud
from tests.guest.boot_sector import Then

# name in clouds.yaml -> what tempest may use the user as
ACCOUNTS = {
    "renova": {"roles": ["member"]},
    "renova-reader": {"roles": ["reader"]},
    "renova-admin": {"roles": ["admin"], "types": ["admin"]},
}
# Flavors of a new cloud: m1.nano, and m1.small with a larger disk.
FLAVOR, LARGER_FLAVOR = "1", "3"


def write(cloud: Cloud, client: Client, directory: Path, guests: Sequence[Path]) -> Path:
    """Write both files into `directory` and upload the two images; returns the path of tempest.conf.

    `guests` are images that let root in by SSH; without them nobody logs in to a guest.
    """
    clouds = yaml.safe_load(cloud.clouds_yaml.read_text())["clouds"]
    accounts = [_account(clouds[name]["auth"]) | uses for name, uses in ACCOUNTS.items()]
    (directory / "accounts.yaml").write_text(yaml.safe_dump(accounts))
    conf = ConfigParser(interpolation=None)
    conf.read_dict(
        _options(cloud.state, directory)
        | {"compute": _compute(client, guests), "service_available": SERVICES}
        | {"validation": LOGIN if guests else {"run_validation": "false"}}
    )
    with (directory / "tempest.conf").open("w") as file:
        conf.write(file)
    return directory / "tempest.conf"


# Neutron is a flag here: without a network in accounts.yaml tempest sends no request to it. Unset, tempest
# would ask the compute API for the networks that nova-network had.
SERVICES = {"nova": "true", "glance": "true", "neutron": "true", "cinder": "false", "swift": "false"}
# What a test may ask for; tempest's own default is in most cases that everything is there.
FEATURES = {
    "resize": "true",
    "personality": "true",
    "rescue": "false",
    "pause": "false",
    "suspend": "false",
    "shelve": "false",
    "interface_attach": "false",
}

# Straight to the address of the guest's one card: this host is on the bridge.
LOGIN = {
    "run_validation": "true",
    "connect_method": "fixed",
    "network_for_ssh": "private",
    "image_ssh_user": "root",
    "security_group": "false",
    "security_group_rules": "false",
    "ssh_timeout": "120",
}


def _account(auth: dict[str, str]) -> dict[str, object]:
    return {
        "username": auth["username"],
        "password": auth["password"],
        "project_name": auth["project_name"],
        "domain_name": auth["user_domain_name"],
    }


def _options(state: State, directory: Path) -> dict[str, dict[str, str]]:
    return {
        "DEFAULT": {"log_file": str(directory / "tempest.log"), "debug": "true"},
        "oslo_concurrency": {"lock_path": str(directory / "locks")},
        "auth": {
            "use_dynamic_credentials": "false",
            "test_accounts_file": str(directory / "accounts.yaml"),
            "create_isolated_networks": "false",
        },
        "identity": {
            "auth_version": "v3",
            "uri_v3": state.url("keystone") + "/v3",
            "v3_endpoint_type": "public",
            "region": "RegionOne",
        },
        "compute-feature-enabled": FEATURES,
    }


def _compute(client: Client, guests: Sequence[Path]) -> dict[str, str]:
    """Where tests only look at servers, a boot sector that powers itself off when asked will do."""
    contents: list[bytes | None] = [guest.read_bytes() for guest in guests]
    image, other = (client.image("tempest", Then.OBEY, content) for content in contents or [None, None])
    return {
        "image_ref": image,
        "image_ref_alt": other,
        "flavor_ref": FLAVOR,
        "flavor_ref_alt": LARGER_FLAVOR,
        "max_microversion": "latest",
        "build_interval": "1",
        "build_timeout": "120",
    }
