"""The metadata service's answers, by who asks for what; on a real bridge in test_bridged_networks.py."""

import base64

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from renova.agent.config_drive import ConfigDrive
from renova.agent.networks.metadata import create_app

GUEST, STRANGER, LATE = "10.64.0.4", "10.64.0.5", "10.64.0.6"
DRIVE = ConfigDrive(
    uuid="7f3c2d1e-0000-4000-8000-000000000001",
    name="web",
    hostname="web-1",
    project_id="p",
    availability_zone="nova",
    launch_index=0,
    network_data={"links": [], "networks": [], "services": []},
    key_name="laptop",
    public_key="ssh-ed25519 AAAA",
    user_data=base64.b64encode(b"#!/bin/sh\n").decode(),
    personality=[{"path": "/etc/motd", "contents": base64.b64encode(b"hello").decode()}],
)


async def find(address: str) -> ConfigDrive | None:
    if address == LATE:
        raise OperationalError("SELECT", {}, Exception("gone"))
    return DRIVE if address == GUEST else None


async def get(path: str, address: str = GUEST, method: str = "GET") -> httpx.Response:
    transport = httpx.ASGITransport(create_app(find), client=(address, 40000))
    async with httpx.AsyncClient(transport=transport, base_url="http://169.254.169.254") as http:
        return await http.request(method, path)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/openstack/latest/user_data", "#!/bin/sh\n"),
        ("/openstack//latest/user_data/", "#!/bin/sh\n"),
        ("/openstack/content/0000", "hello"),
        ("/latest/user-data", "#!/bin/sh\n"),
        ("/2009-04-04/meta-data/local-hostname", "web-1"),
        ("/2009-04-04/meta-data/placement/availability-zone", "nova"),
        ("/latest/meta-data/local-ipv4", GUEST),
        ("/latest/meta-data/public-keys", "0=laptop"),
        ("/latest/meta-data/public-keys/0/", "openssh-key"),
        ("/latest", "meta-data/\nuser-data"),
        ("/openstack", "2018-08-27\n2020-10-14\ncontent\nlatest"),
    ],
)
async def test_what_a_guest_is_told(path: str, said: str) -> None:
    answer = await get(path)
    assert (answer.status_code, answer.text) == (200, said)


async def test_documents_are_those_of_the_config_drive() -> None:
    answer = await get("/openstack/latest/meta_data.json")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["public_keys"] == {"laptop": "ssh-ed25519 AAAA"}
    names = (await get("/openstack/latest/")).text.split()
    assert names == [
        "meta_data.json",
        "network_data.json",
        "user_data",
        "vendor_data.json",
        "vendor_data2.json",
    ]


async def test_who_and_what_is_not_answered() -> None:
    for path in ("/nothing", "/openstack/latest/meta_data.json/uuid", "/latest/meta-data/../user-data/x"):
        assert (await get(path)).status_code == 404
    assert (await get("/openstack", STRANGER)).status_code == 404
    assert (await get("/openstack", LATE)).status_code == 503
    assert (await get("/latest/api/token", method="PUT")).status_code == 405


async def test_a_proxys_word_for_who_asks_is_nothing() -> None:
    transport = httpx.ASGITransport(create_app(find), client=(STRANGER, 40000))
    async with httpx.AsyncClient(transport=transport, base_url="http://169.254.169.254") as http:
        answer = await http.get("/openstack", headers={"X-Forwarded-For": GUEST, "X-Instance-ID": DRIVE.uuid})
    assert answer.status_code == 404
