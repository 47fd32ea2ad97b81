"""JSON Schemas (2020-12) of the values that Nova answers, each leaf with an example of its own.

Source: the table of parameters of Nova's API reference (api-ref/source/parameters.yaml) and the values in
doc/api_samples. Formats are patterns here: a validator may pass over `format`.
"""

from typing import Any

Schema = dict[str, Any]


def text(example: str, pattern: str | None = None) -> Schema:
    return {"type": "string", "examples": [example], **({"pattern": pattern} if pattern else {})}


def one_of(*values: str) -> Schema:
    return {"type": "string", "enum": [*values], "examples": [values[0]]}


def or_null(form: Schema) -> Schema:
    """Where Nova answers null for what there is none of."""
    return form | {"type": [form["type"], "null"]}


def closed(**members: Schema) -> Schema:
    """An object with these members, all of them, and with no other."""
    return closed_from(members)


def closed_from(members: dict[str, Schema]) -> Schema:
    return {
        "type": "object",
        "required": sorted(members),
        "additionalProperties": False,
        "properties": members,
    }


def mapping(key: str, value: Schema) -> Schema:
    """An object whose keys the client or the operator chose; `key` is an example."""
    return {"type": "object", "additionalProperties": value, "examples": [{key: example_of(value)}]}


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def exactly(*items: Schema) -> Schema:
    return {"type": "array", "prefixItems": [*items], "items": False, "minItems": len(items)}


def link(rel: str, pattern: str, example: str) -> Schema:
    return closed(rel={"type": "string", "const": rel, "examples": [rel]}, href=text(example, pattern))


def example_of(schema: Schema) -> Any:
    """A value that the schema allows, with every member that it names."""
    if "examples" in schema:
        return schema["examples"][0]
    if "properties" in schema:
        return {name: example_of(member) for name, member in schema["properties"].items()}
    if "prefixItems" in schema:
        return [example_of(item) for item in schema["prefixItems"]]
    return [example_of(schema["items"])]


_HEX = "[0-9a-f]"
_UUID = f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"
_SERVER, _IMAGE = "0e44cc9c-e052-415d-afbf-469b0d384170", "70a599e0-31e7-49b7-b260-868f441e862b"
_SITE = "http://nova.example"

WORDS = text("new-server-test")
UUID = text(_SERVER, f"^{_UUID}$")
PROJECT = text("6f70656e737461636b20342065766572", f"^{_HEX}{{32}}$")
COUNT = {"type": "integer", "minimum": 0, "examples": [1]}
SWITCH = {"type": "boolean", "examples": [True]}
# ISO 8601 in UTC; Nova tells launches and ends to the microsecond and without a zone.
SECOND = text("2013-09-03T04:01:32Z", r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
MICROSECOND = text("2013-09-23T13:37:00.880302", r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$")
IPV4 = r"\d{1,3}(\.\d{1,3}){3}"
IPV6 = "[0-9a-f]*:[0-9a-f:]*"

LINKS = exactly(
    link(
        "self",
        rf"^http://[^/]+/v2\.1/{_HEX}{{32}}/servers/{_UUID}$",
        f"{_SITE}/v2.1/{'a' * 32}/servers/{_SERVER}",
    ),
    link(
        "bookmark", rf"^http://[^/]+/{_HEX}{{32}}/servers/{_UUID}$", f"{_SITE}/{'a' * 32}/servers/{_SERVER}"
    ),
)
NEXT_PAGE = exactly(
    link(
        "next",
        rf"^http://[^/]+/v2\.1/{_HEX}{{32}}/servers(/detail)?\?(.+&)?marker={_UUID}$",
        f"{_SITE}/v2.1/{'a' * 32}/servers/detail?limit=1&marker={_SERVER}",
    )
)
_IMAGE_LINK = exactly(
    link("bookmark", rf"^http://[^/]+/{_HEX}{{32}}/images/{_UUID}$", f"{_SITE}/{'a' * 32}/images/{_IMAGE}")
)
IMAGE = closed(id=text(_IMAGE, f"^{_UUID}$"), links=_IMAGE_LINK)
IMAGE_WITH_PROPERTIES = closed(**IMAGE["properties"], properties=mapping("architecture", text("x86_64")))
FLAVOR = closed(
    id=text("1"),
    links=exactly(
        link("bookmark", rf"^http://[^/]+/{_HEX}{{32}}/flavors/[^/]+$", f"{_SITE}/{'a' * 32}/flavors/1")
    ),
)
EMBEDDED_FLAVOR = closed(
    **dict.fromkeys(("vcpus", "ram", "disk", "ephemeral", "swap"), COUNT),
    original_name=text("m1.tiny"),
    extra_specs=mapping("hw:numa_nodes", text("1")),
)
_ADDRESS = {
    "addr": text("192.168.1.30", f"^({IPV4}|{IPV6})$"),
    "version": {"type": "integer", "enum": [4, 6], "examples": [4]},
}
_OF_ITS_PORT = {
    "OS-EXT-IPS:type": one_of("fixed", "floating"),
    "OS-EXT-IPS-MAC:mac_addr": text("00:0c:29:0d:11:74", f"^{_HEX}{{2}}(:{_HEX}{{2}}){{5}}$"),
}
ADDRESSES = mapping("private", array(closed_from(_ADDRESS)))
ADDRESSES_OF_PORTS = mapping("private", array(closed_from(_ADDRESS | _OF_ITS_PORT)))
GROUPS = array(closed(name=text("default")))
FAULT = closed(code=COUNT, created=SECOND, message=text("It broke."))
FAULT_IN_DETAIL = closed(**FAULT["properties"], details=text("Where it broke."))
