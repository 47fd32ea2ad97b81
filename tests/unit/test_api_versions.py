"""The version documents, which need no token: what a client reads before anything else."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from renova.api.microversions import MAXIMUM
from tests.api_client import MadeUpTokens, api_client, configure


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with api_client(configure(tmp_path), MadeUpTokens()) as client:
        yield client


async def test_root_lists_both_trees_without_a_token(api: httpx.AsyncClient) -> None:
    answer = await api.get("/")
    assert answer.status_code == 200
    v2, v21 = answer.json()["versions"]
    assert (v2["id"], v2["version"], v2["links"][0]["href"]) == ("v2.0", "", "http://nova.example/v2/")
    assert (v21["id"], v21["status"], v21["min_version"]) == ("v2.1", "CURRENT", "2.1")
    assert v21["version"] == str(MAXIMUM)


@pytest.mark.parametrize("path", ["/v2.1", "/v2.1/"])
async def test_one_version(api: httpx.AsyncClient, path: str) -> None:
    version = (await api.get(path)).json()["version"]
    assert version["id"] == "v2.1"
    assert version["links"][0] == {"rel": "self", "href": "http://nova.example/v2.1/"}
    assert version["media-types"][0]["type"] == "application/vnd.openstack.compute+json;version=2.1"


async def test_v2_is_its_own_document(api: httpx.AsyncClient) -> None:
    assert (await api.get("/v2/")).json()["version"]["id"] == "v2.0"


async def test_any_other_path_is_answered_with_choices(api: httpx.AsyncClient) -> None:
    answer = await api.get("/v3/servers")
    assert answer.status_code == 300
    links = [choice["links"][0]["href"] for choice in answer.json()["choices"]]
    assert links == ["http://nova.example/v2/v3/servers", "http://nova.example/v2.1/v3/servers"]


async def test_links_follow_the_proxy(api: httpx.AsyncClient) -> None:
    headers = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "cloud.example, inner",
        "X-Forwarded-Prefix": "/compute",
    }
    version = (await api.get("/v2.1/", headers=headers)).json()["version"]
    assert version["links"][0]["href"] == "https://cloud.example/compute/v2.1/"


async def test_the_operators_endpoint_wins(tmp_path: Path) -> None:
    conf = configure(tmp_path, "[api]\npublic_endpoint = https://nova.example.org/compute/\n")
    async with api_client(conf, MadeUpTokens()) as api:
        version = (await api.get("/v2.1/", headers={"X-Forwarded-Host": "other"})).json()["version"]
    assert version["links"][0]["href"] == "https://nova.example.org/compute/v2.1/"
