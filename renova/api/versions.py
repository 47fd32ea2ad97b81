"""The documents by which a client finds out which versions there are. They need no token."""

from typing import Any

from renova.api.microversions import MAXIMUM, MINIMUM

V2 = {
    "id": "v2.0",
    "status": "SUPPORTED",
    "version": "",
    "min_version": "",
    "updated": "2011-01-21T11:33:21Z",
}
V2_1 = {
    "id": "v2.1",
    "status": "CURRENT",
    "version": str(MAXIMUM),
    "min_version": str(MINIMUM),
    "updated": "2013-07-23T11:33:21Z",
}
TREES: dict[str, dict[str, str]] = {"v2": V2, "v2.1": V2_1}


def _media_types(tree: str) -> list[dict[str, str]]:
    number = tree.removeprefix("v")
    return [{"base": "application/json", "type": f"application/vnd.openstack.compute+json;version={number}"}]


def every_version(base: str) -> dict[str, Any]:
    """`GET /`."""
    return {
        "versions": [
            {**facts, "links": [{"rel": "self", "href": f"{base}/{tree}/"}]} for tree, facts in TREES.items()
        ]
    }


def one_version(base: str, tree: str) -> dict[str, Any]:
    """`GET /v2.1/` and `GET /v2/`."""
    links = [
        {"rel": "self", "href": f"{base}/{tree}/"},
        {"rel": "describedby", "type": "text/html", "href": "http://docs.openstack.org/"},
    ]
    return {"version": {**TREES[tree], "links": links, "media-types": _media_types(tree)}}


def choices(base: str, path: str) -> dict[str, Any]:
    """300 Multiple Choices, Nova's answer to a path that names no version."""
    return {
        "choices": [
            {
                "id": facts["id"],
                "status": facts["status"],
                "links": [{"rel": "self", "href": f"{base}/{tree}/{path.strip('/')}"}],
                "media-types": _media_types(tree),
            }
            for tree, facts in TREES.items()
        ]
    }
