"""The API of a running cloud: Keystone's own tokens, granian's own HTTP, and the openstack client."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from renova.api.microversions import MAXIMUM
from tests.functional.shared_cloud import Cloud

OPENSTACK = Path(sys.prefix) / "bin" / "openstack"


@pytest.fixture
def api(cloud: Cloud) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=cloud.compute_url, timeout=60) as client:
        client.headers["X-Auth-Token"] = cloud.token()
        yield client


def keystone(cloud: Cloud, method: str, path: str, body: Any = None, token: str = "") -> httpx.Response:
    headers = {"X-Auth-Token": token or cloud.token()}
    answer = httpx.request(method, cloud.identity_url + path, headers=headers, json=body, timeout=60)
    answer.raise_for_status()
    return answer


def authenticate(cloud: Cloud, auth: dict[str, Any]) -> str:
    return str(keystone(cloud, "POST", "/auth/tokens", {"auth": auth}).headers["X-Subject-Token"])


def test_version_documents_need_no_token(cloud: Cloud) -> None:
    root = cloud.compute_url.removesuffix("/v2.1")
    answer = httpx.get(root + "/")
    assert answer.status_code == 200
    assert answer.json()["versions"][1]["version"] == str(MAXIMUM)
    assert answer.json()["versions"][1]["links"][0]["href"] == f"{cloud.compute_url}/"
    for address in (cloud.compute_url, cloud.compute_url + "/", root + "/v2/"):
        assert httpx.get(address).status_code == 200


@pytest.mark.parametrize("token", [None, b"", b"stale", b"a b", b"\xe9", b"x" * 9000])
def test_no_token_or_a_stale_one(cloud: Cloud, token: bytes | None) -> None:
    headers = {} if token is None else {b"X-Auth-Token": token}
    answer = httpx.get(f"{cloud.compute_url}/flavors", headers=headers, timeout=60)
    assert answer.status_code == 401
    assert answer.json()["error"]["title"] == "Unauthorized"
    assert answer.headers["www-authenticate"] == f'Keystone uri="{cloud.identity_url}"'
    assert answer.headers["x-compute-request-id"].startswith("req-")


def test_roles_of_keystone_are_roles_here(cloud: Cloud) -> None:
    body = {"flavor": {"name": f"f-{uuid4()}", "ram": 64, "vcpus": 1, "disk": 1}}
    statuses = {}
    for name in ("renova", "renova-reader", "renova-admin"):
        headers = {"X-Auth-Token": cloud.token(name)}
        answer = httpx.post(f"{cloud.compute_url}/flavors", headers=headers, json=body, timeout=60)
        statuses[name] = answer.status_code
    assert statuses == {"renova": 403, "renova-reader": 403, "renova-admin": 200}
    flavor_id = answer.json()["flavor"]["id"]
    answer = httpx.delete(f"{cloud.compute_url}/flavors/{flavor_id}", headers=headers, timeout=60)
    assert answer.status_code == 202


def test_a_token_without_a_project_may_do_nothing(cloud: Cloud, api: httpx.Client) -> None:
    by_token = {"methods": ["token"], "token": {"id": cloud.token()}}
    token = authenticate(cloud, {"identity": by_token, "scope": "unscoped"})
    answer = api.get("/flavors", headers={"X-Auth-Token": token})
    assert answer.status_code == 403
    assert "forbidden" in answer.json()


def test_access_rules_of_an_application_credential_are_kept(cloud: Cloud, api: httpx.Client) -> None:
    subject = {"X-Auth-Token": cloud.token(), "X-Subject-Token": cloud.token()}
    shown = httpx.get(cloud.identity_url + "/auth/tokens", headers=subject, timeout=60).json()
    credentials = f"/users/{shown['token']['user']['id']}/application_credentials"
    rule = {"service": "compute", "method": "GET", "path": "/v2.1/flavors"}
    body = {"application_credential": {"name": str(uuid4()), "access_rules": [rule]}}
    credential = keystone(cloud, "POST", credentials, body).json()["application_credential"]
    chosen = {key: credential[key] for key in ("id", "secret")}
    token = authenticate(
        cloud, {"identity": {"methods": ["application_credential"], "application_credential": chosen}}
    )
    headers = {"X-Auth-Token": token}
    assert api.get("/flavors", headers=headers).status_code == 200
    assert api.get("/flavors/1", headers=headers).status_code == 401
    assert api.post("/os-keypairs", headers=headers, json={}).status_code == 401
    keystone(cloud, "DELETE", f"{credentials}/{credential['id']}")


def test_other_projects_in_the_path(cloud: Cloud, api: httpx.Client) -> None:
    assert api.get(f"/{cloud.project_id()}/flavors").status_code == 200
    answer = api.get(f"/{'0' * 32}/flavors")
    assert answer.status_code == 400
    assert "doesn't match Context's project_id" in answer.json()["badRequest"]["message"]


def test_the_log_names_each_request(cloud: Cloud, api: httpx.Client) -> None:
    mine = "req-" + str(uuid4())
    answer = api.get("/flavors/none", headers={"X-OpenStack-Request-Id": mine})
    (line,) = [line for line in cloud.log("api").splitlines() if mine in line]
    assert f"{answer.headers['x-openstack-request-id']} GET /v2.1/flavors/none: 404 in " in line


def test_head_has_no_body(api: httpx.Client) -> None:
    answer = api.head("/flavors")
    assert answer.status_code == 200
    assert answer.content == b""
    # The connection is still in step.
    assert api.get("/flavors/1").json()["flavor"]["name"] == "m1.nano"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large(api: httpx.Client, chunked: bool) -> None:
    pieces = [b" " * 65536] * 4
    answer = api.post("/os-keypairs", content=iter(pieces) if chunked else b"".join(pieces))
    assert answer.status_code == 413
    assert answer.json()["overLimit"]["code"] == 413


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /v2.1/flavors HTTP/1.0",
        "GET /v2.1/%ff%00/x HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET /v2.1/../x HTTP/1.1",
    ],
)
def test_odd_requests_are_answered_by_us(cloud: Cloud, request_line: str) -> None:
    """No answer is a traceback's, and the program lives on."""
    address = urlsplit(cloud.compute_url)
    assert address.hostname
    assert address.port
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall(f"{request_line}\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        status = int(connection.makefile("rb").readline().split()[1])
    assert status < 500
    assert httpx.get(cloud.compute_url, timeout=60).status_code == 200


def test_the_openstack_client_finds_its_way(cloud: Cloud) -> None:
    environment = {**os.environ, "OS_CLIENT_CONFIG_FILE": str(cloud.clouds_yaml), "OS_CLOUD": "renova"}

    def openstack(*words: str) -> str:
        command = [str(OPENSTACK), *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    flavors = json.loads(openstack("flavor", "list", "-f", "json"))
    assert {"m1.nano", "m1.tiny", "m1.small", "m1.medium"} <= {flavor["Name"] for flavor in flavors}
    limits = json.loads(openstack("limits", "show", "--absolute", "-f", "json"))
    assert {"Name": "max_total_instances", "Value": 100} in limits
    name = str(uuid4())
    # This client makes the key itself and sends the public half.
    assert "PRIVATE KEY-----" in openstack("keypair", "create", name)
    assert json.loads(openstack("keypair", "show", name, "-f", "json"))["name"] == name
    openstack("keypair", "delete", name)
    assert name not in openstack("keypair", "list")
