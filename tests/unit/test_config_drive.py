"""The config drive, read back through each of its three name spaces."""

import base64
import io
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from pycdlib import PyCdlib

from renova.agent.config_drive import VERSIONS, ConfigDrive, build

NETWORK = {
    "links": [{"id": "tap1", "ethernet_mac_address": "fa:16:3e:00:00:01"}],
    "networks": [],
    "services": [],
}


def drive(**changes: Any) -> ConfigDrive:
    facts: dict[str, Any] = {
        "uuid": "5f0b2b8e-0000-4000-8000-000000000001",
        "name": "Web 1",
        "hostname": "web-1",
        "project_id": "p1",
        "availability_zone": "nova",
        "launch_index": 0,
        "network_data": NETWORK,
    }
    return ConfigDrive(**facts | changes)


class Reader:
    """A drive as a guest sees it; `space` is how it reads names: iso_path, joliet_path or rr_path."""

    def __init__(self, path: Path, space: str = "rr_path") -> None:
        self.space = space
        self.iso = PyCdlib()
        self.iso.open_fp(io.BytesIO(path.read_bytes()))

    def read(self, path: str) -> bytes:
        content = io.BytesIO()
        self.iso.get_file_from_iso_fp(content, **{self.space: path})
        return content.getvalue()

    def files(self) -> set[str]:
        return {f"{top}/{name}" for top, _, names in self.iso.walk(**{self.space: "/"}) for name in names}


@pytest.fixture(params=["iso_path", "joliet_path", "rr_path"])
def space(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_every_name_space_has_every_file(tmp_path: Path, space: str) -> None:
    user_data = b"#!/bin/sh\n\x00\xff"
    build(tmp_path / "config-1.iso", drive(user_data=base64.b64encode(user_data).decode()))
    reader = Reader(tmp_path / "config-1.iso", space)
    names = ("meta_data.json", "network_data.json", "vendor_data.json", "vendor_data2.json", "user_data")
    assert reader.files() == {
        *(f"/openstack/{v}/{name}" for v in ("latest", "2018-08-27", "2020-10-14") for name in names),
        "/ec2/latest/meta-data.json",
        "/ec2/latest/user-data",
    }
    assert reader.read("/openstack/latest/user_data") == user_data
    assert json.loads(reader.read("/openstack/2018-08-27/network_data.json")) == NETWORK


def test_the_label_is_what_guests_look_for(tmp_path: Path) -> None:
    build(tmp_path / "d.iso", drive())
    iso = Reader(tmp_path / "d.iso").iso
    assert iso.pvd.volume_identifier.strip() == b"config-2"
    assert iso.joliet_vd is not None
    assert iso.joliet_vd.volume_identifier.decode("utf-16-be").strip() == "config-2"


def test_meta_data(tmp_path: Path) -> None:
    build(
        tmp_path / "d.iso",
        drive(
            metadata={"rôle": "web"}, key_name="mine", public_key="ssh-ed25519 AAAA me", random_seed=b"seed"
        ),
    )
    meta_data = json.loads(Reader(tmp_path / "d.iso").read("/openstack/latest/meta_data.json"))
    assert meta_data == {
        "uuid": "5f0b2b8e-0000-4000-8000-000000000001",
        "name": "Web 1",
        "hostname": "web-1",
        "project_id": "p1",
        "availability_zone": "nova",
        "launch_index": 0,
        "meta": {"rôle": "web"},
        "public_keys": {"mine": "ssh-ed25519 AAAA me"},
        "keys": [{"name": "mine", "type": "ssh", "data": "ssh-ed25519 AAAA me"}],
        "random_seed": base64.b64encode(b"seed").decode(),
        "devices": [],
        "dedicated_cpus": [],
    }


def test_what_there_is_none_of_is_left_out(tmp_path: Path) -> None:
    build(tmp_path / "d.iso", drive())
    reader = Reader(tmp_path / "d.iso")
    assert not [name for name in reader.files() if "user" in name]
    latest = json.loads(reader.read("/openstack/latest/meta_data.json"))
    assert not latest.keys() & {"meta", "files", "public_keys", "keys", "admin_pass"}
    assert "dedicated_cpus" not in json.loads(reader.read("/openstack/2018-08-27/meta_data.json"))
    assert len(base64.b64decode(latest["random_seed"])) == 512


def test_files_of_the_request(tmp_path: Path) -> None:
    files = [
        {"path": "/etc/motd", "contents": base64.b64encode(b"hello").decode()},
        {"path": "/etc/issue", "contents": base64.b64encode(b"\xff\x00").decode()},
    ]
    build(tmp_path / "d.iso", drive(personality=files))
    reader = Reader(tmp_path / "d.iso")
    assert json.loads(reader.read("/openstack/latest/meta_data.json"))["files"] == [
        {"path": "/etc/motd", "content_path": "/content/0000"},
        {"path": "/etc/issue", "content_path": "/content/0001"},
    ]
    assert reader.read("/openstack/content/0000") == b"hello"
    assert reader.read("/openstack/content/0001") == b"\xff\x00"


def test_a_drive_is_whole_private_and_replaces_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "servers" / "s1" / "config-2.iso"
    build(path, drive(name="one"))
    path.with_name("config-2.iso.part").write_bytes(b"left by an agent that was killed")
    build(path, drive(name="two"))
    assert json.loads(Reader(path).read("/openstack/latest/meta_data.json"))["name"] == "two"
    assert [file.name for file in path.parent.iterdir()] == ["config-2.iso"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_what_an_owner_chose_is_a_value_and_never_a_name(tmp_path: Path) -> None:
    hostile = '../../etc/shadow\n"}, {"'
    files = [{"path": "../../../../etc/cron.d/x", "contents": base64.b64encode(b"x").decode()}]
    made = drive(
        name=hostile, metadata={"../k": hostile}, key_name=hostile, public_key=hostile, personality=files
    )
    build(tmp_path / "d.iso", made)
    assert [file.name for file in tmp_path.iterdir()] == ["d.iso"]
    reader = Reader(tmp_path / "d.iso")
    names = ("meta_data.json", "network_data.json", "vendor_data.json", "vendor_data2.json")
    assert reader.files() == {
        *(f"/openstack/{version}/{name}" for version in VERSIONS for name in names),
        "/ec2/latest/meta-data.json",
        "/openstack/content/0000",
    }
    told = json.loads(reader.read("/openstack/latest/meta_data.json"))
    assert (told["name"], told["meta"], told["public_keys"]) == (
        hostile,
        {"../k": hostile},
        {hostile: hostile},
    )
