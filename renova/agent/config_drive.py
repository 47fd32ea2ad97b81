"""The config drive: what a guest is told about itself, on a disk, before it has a network.

The layout and the keys are Nova's (its user guide, "Config drives" and "Metadata"); cloud-init and its kin
read them. The label is config-2.
"""

import base64
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pycdlib import PyCdlib

from renova.agent.files import part_of, settle
from renova.compute import certificates

LABEL = "config-2"
# Bytes that no drive exceeds: user data and files are bounded by the API, and stand there a few times.
MAX_SIZE = 2 * 1024**2
DEDICATED_CPUS_SINCE = "2020-10-14"
VERSIONS = ("2018-08-27", DEDICATED_CPUS_SINCE, "latest")


def _seed() -> bytes:
    return os.urandom(512)


@dataclass(frozen=True)
class ConfigDrive:
    """What stands on a config drive.

    `user_data` and each file's "contents" are base64, as a client sent them; `network_data` is the document
    network_data.json. `block_devices` is EC2's block-device-mapping. `admin_pass` is for cloudbase-init,
    which gives it to its administrator. `random_seed` feeds the guest's random generator.
    """

    uuid: str
    name: str
    hostname: str
    project_id: str
    availability_zone: str
    launch_index: int
    network_data: Mapping[str, Any]
    metadata: Mapping[str, str] = field(default_factory=dict)
    key_name: str | None = None
    public_key: str | None = None
    user_data: str | None = None
    personality: Sequence[Mapping[str, str]] = ()
    block_devices: Mapping[str, str] = field(default_factory=dict)
    admin_pass: str | None = field(default=None, repr=False)
    random_seed: bytes = field(default_factory=_seed, repr=False)


def build(path: Path, drive: ConfigDrive) -> None:
    """Write the drive: ISO 9660 with Joliet and Rock Ridge. Blocks for some milliseconds. Raises DiskFull."""
    files = {Path("/") / name: content for name, content in files_of(drive).items()}
    iso = PyCdlib()
    iso.new(interchange_level=4, vol_ident=LABEL, joliet=3, rock_ridge="1.09")
    for directory in sorted({parent for file in files for parent in file.parents[:-1]}):
        iso.add_directory(str(directory), joliet_path=str(directory), rr_name=directory.name)
    for file, content in files.items():
        iso.add_fp(io.BytesIO(content), len(content), str(file), joliet_path=str(file), rr_name=file.name)
    # Straight into the file it would be a hundred small writes, which take as long as all the rest.
    image = io.BytesIO()
    iso.write_fp(image)
    iso.close()
    with part_of(path, f"the config drive {path.name}") as part:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.write_bytes(image.getbuffer())
        settle(part, path)


def files_of(drive: ConfigDrive) -> dict[str, bytes]:
    """Every file of the drive, by its path from the root."""
    contents = [(f"content/{number:04}", file) for number, file in enumerate(drive.personality)]
    files = {f"openstack/{place}": base64.b64decode(file["contents"]) for place, file in contents}
    given = [{"path": file["path"], "content_path": f"/{place}"} for place, file in contents]
    user_data = None if drive.user_data is None else base64.b64decode(drive.user_data)
    for version in VERSIONS:
        documents = {
            "meta_data.json": _meta_data(drive, version, given),
            "network_data.json": drive.network_data,
            # What a cloud's vendor adds for every guest: nothing here.
            "vendor_data.json": {},
            "vendor_data2.json": {"static": {}},
        }
        for name, document in documents.items():
            files[f"openstack/{version}/{name}"] = json.dumps(document).encode()
        if user_data is not None:
            files[f"openstack/{version}/user_data"] = user_data
    files["ec2/latest/meta-data.json"] = json.dumps(_ec2_meta_data(drive)).encode()
    if user_data is not None:
        files["ec2/latest/user-data"] = user_data
    return files


def _meta_data(drive: ConfigDrive, version: str, given: list[dict[str, str]]) -> dict[str, Any]:
    """meta_data.json. As in Nova, what there is none of has no key: meta, files, public_keys, keys."""
    document: dict[str, Any] = {
        "uuid": drive.uuid,
        "hostname": drive.hostname,
        "name": drive.name,
        "launch_index": drive.launch_index,
        "availability_zone": drive.availability_zone,
        "project_id": drive.project_id,
        "random_seed": base64.b64encode(drive.random_seed).decode(),
        "devices": [],
    }
    if version >= DEDICATED_CPUS_SINCE:
        document["dedicated_cpus"] = []
    if drive.admin_pass is not None:
        document["admin_pass"] = drive.admin_pass
    if drive.metadata:
        document["meta"] = dict(drive.metadata)
    if given:
        document["files"] = given
    if drive.key_name is not None and drive.public_key is not None:
        document["public_keys"] = {drive.key_name: drive.public_key}
        kind = "x509" if drive.public_key.startswith(certificates.BEGIN) else "ssh"
        document["keys"] = [{"name": drive.key_name, "type": kind, "data": drive.public_key}]
    return document


def _ec2_meta_data(drive: ConfigDrive) -> dict[str, Any]:
    """The part of EC2's metadata that means something here."""
    document: dict[str, Any] = {
        "instance-id": drive.uuid,
        "hostname": drive.hostname,
        "local-hostname": drive.hostname,
        "placement": {"availability-zone": drive.availability_zone},
        "instance-action": "none",
        "block-device-mapping": dict(drive.block_devices),
    }
    if drive.public_key is not None:
        document["public-keys"] = {"0": {"openssh-key": drive.public_key}}
    return document
