"""The seed page, "URI", "Constraints" and "Request": a test for each statement, named after it."""

import base64
from typing import Any

import httpx
import pytest

from tests.api_client import PROJECT
from tests.functional.api_without_agent import Api

TWO_54, TWO_57 = "2.54", "2.57"


async def rebuild(api: Api, server_id: str, version: str = "2.1", **fields: Any) -> httpx.Response:
    return await api.act(server_id, "rebuild", {"imageRef": api.other_image, **fields}, version=version)


async def rebuilt(api: Api, version: str = "2.1", **fields: Any) -> dict[str, Any]:
    """The server of the answer to a rebuild that is taken."""
    answer = await rebuild(api, await api.new("before", metadata={"old": "1"}), version, **fields)
    assert answer.status_code == 202, answer.text
    server: dict[str, Any] = answer.json()["server"]
    return server


async def refused(api: Api, version: str = "2.1", **fields: Any) -> None:
    """A rebuild of 400 that changes nothing."""
    server_id = await api.new()
    before = await api.rows()
    answer = await rebuild(api, server_id, version, **fields)
    assert answer.status_code == 400, answer.text
    assert answer.json()["badRequest"]["code"] == 400
    assert await api.rows() == before


async def test_post_v2_1_project_id_servers_server_id_action(api: Api) -> None:
    server_id = await api.new()
    body = {"rebuild": {"imageRef": api.image}}
    answer = await api.http.post(f"/v2.1/{PROJECT}/servers/{server_id}/action", json=body, headers=api.member)
    assert answer.status_code == 202


async def test_project_id_specifies_the_project(api: Api) -> None:
    server_id = await api.new()
    answer = await rebuild(api, server_id)
    assert answer.json()["server"]["tenant_id"] == PROJECT
    other = "0" * 32
    answer = await api.act(server_id, "rebuild", {"imageRef": api.image}, prefix=f"/v2.1/{other}")
    assert answer.status_code == 400
    message = (
        f"Malformed request URL: URL's project_id '{other}' doesn't match Context's project_id '{PROJECT}'"
    )
    assert answer.json() == {"badRequest": {"code": 400, "message": message}}


async def test_server_id_specifies_the_ecs(api: Api) -> None:
    first, second = await api.new("first"), await api.new("second")
    assert (await rebuild(api, second)).json()["server"]["id"] == second
    assert (await api.get(f"/servers/{first}"))["server"]["status"] == "ACTIVE"
    assert (await rebuild(api, "9f6b8a2e-0000-4000-8000-000000000000")).status_code == 404


async def test_ecss_in_the_error_state_cannot_be_rebuilt(api: Api) -> None:
    server_id = await api.new()
    await api.act(server_id, "os-resetState", {"state": "error"}, who=api.admin)
    before = await api.rows()
    answer = await rebuild(api, server_id)
    assert answer.status_code == 409
    assert answer.json()["conflictingRequest"]["code"] == 409
    assert await api.rows() == before


async def test_ecss_in_yearly_monthly_payments_do_not_support_rebuilding(api: Api) -> None:
    server_id = await api.new()
    billing = {"metadata": {"charging_mode": "1"}}
    await api.call("POST", f"/servers/{server_id}/metadata", billing, who=api.admin)
    before = await api.rows()
    assert (await rebuild(api, server_id)).status_code == 409
    assert await api.rows() == before


async def test_pay_per_use_ecss_support_rebuilding(api: Api) -> None:
    server_id = await api.new()
    billing = {"metadata": {"charging_mode": "0"}}
    await api.call("POST", f"/servers/{server_id}/metadata", billing, who=api.admin)
    assert (await rebuild(api, server_id)).status_code == 202


async def test_the_password_cannot_be_set_during_the_rebuilding(api: Api) -> None:
    """Nothing that an agent or a guest could read it from ever holds it."""
    server_id = await api.new()
    assert (await rebuild(api, server_id, adminPass="a-Passw0rd")).status_code == 202
    assert not any("a-Passw0rd" in row for rows in (await api.rows()).values() for row in rows)


@pytest.mark.parametrize(
    "body", [{}, {"rebuild": None}, {"rebuild": "image"}, {"rebuild": []}, {"Rebuild": {}}]
)
async def test_rebuild_is_a_mandatory_dict(api: Api, body: dict[str, Any]) -> None:
    server_id = await api.new()
    assert (await api.call("POST", f"/servers/{server_id}/action", body)).status_code == 400


async def test_name_is_not_mandatory(api: Api) -> None:
    assert (await rebuilt(api))["name"] == "before"


@pytest.mark.parametrize("name", ["a", "n" * 254])
async def test_the_name_contains_1_to_254_characters(api: Api, name: str) -> None:
    assert (await rebuilt(api, name=name))["name"] == name


@pytest.mark.parametrize("name", ["", "n" * 255, None, 1])
async def test_a_name_of_another_length_or_type_is_refused(api: Api, name: object) -> None:
    await refused(api, name=name)


async def test_metadata_is_not_mandatory(api: Api) -> None:
    assert (await rebuilt(api))["metadata"] == {"old": "1"}


async def test_metadata_specifies_the_metadata_of_the_rebuilt_ecs(api: Api) -> None:
    assert (await rebuilt(api, metadata={"rebuild": "rebuild vm"}))["metadata"] == {"rebuild": "rebuild vm"}


@pytest.mark.parametrize("metadata", [None, "text", ["a"], {"a": 1}, {"": "a"}, {"a": "v" * 256}])
async def test_metadata_is_a_dict(api: Api, metadata: object) -> None:
    await refused(api, metadata=metadata)


async def test_image_ref_is_mandatory(api: Api) -> None:
    server_id = await api.new()
    before = await api.rows()
    assert (await api.act(server_id, "rebuild", {"name": "new"})).status_code == 400
    assert await api.rows() == before


async def test_image_ref_specifies_the_image_id(api: Api) -> None:
    assert (await rebuilt(api, imageRef=api.image))["image"]["id"] == api.image


@pytest.mark.parametrize(
    "url", ["http://glance.example/v2/images/{}", "https://10.0.0.1:443/a-project/images/{}"]
)
async def test_image_ref_specifies_the_image_url(api: Api, url: str) -> None:
    assert (await rebuilt(api, imageRef=url.format(api.other_image)))["image"]["id"] == api.other_image


@pytest.mark.parametrize("reference", ["", "no-image", "http://glance.example/v2/images/none", None, 1])
async def test_image_ref_is_the_id_or_url_of_an_image_that_exists(api: Api, reference: object) -> None:
    await refused(api, imageRef=reference)


async def test_the_original_image_or_another_image(api: Api) -> None:
    for image in (api.image, api.other_image):
        assert (await rebuilt(api, imageRef=image))["image"]["id"] == image


async def test_admin_pass_does_not_take_effect(api: Api) -> None:
    assert (await rebuilt(api, adminPass="a-Passw0rd"))["adminPass"] == "a-Passw0rd"
    assert len((await rebuilt(api))["adminPass"]) == len("qGVjnEjY3ZoY")


@pytest.mark.parametrize("value", ["AUTO", "MANUAL"])
async def test_disk_config_is_not_supported(api: Api, value: str) -> None:
    """It is taken and shown, as DefCore's clients expect, and changes nothing that the agent reads."""
    assert (await rebuilt(api, **{"OS-DCF:diskConfig": value}))["OS-DCF:diskConfig"] == value


async def test_a_disk_config_of_no_meaning_is_refused(api: Api) -> None:
    await refused(api, **{"OS-DCF:diskConfig": "SOMETIMES"})


@pytest.mark.parametrize("value", [True, False])
async def test_preserve_ephemeral_is_not_supported(api: Api, value: bool) -> None:
    assert (await rebuilt(api, preserve_ephemeral=value))["status"] == "REBUILD"


async def test_preserve_ephemeral_is_a_boolean(api: Api) -> None:
    await refused(api, preserve_ephemeral="perhaps")


async def test_key_name_specifies_the_key_pair_name(api: Api) -> None:
    assert (await rebuilt(api, TWO_54, key_name="key"))["key_name"] == "key"
    await refused(api, TWO_54, key_name="no such key")


async def test_if_key_name_is_null_the_existing_key_pair_is_left_blank(api: Api) -> None:
    server_id = await api.new(key_name="key")
    answer = await rebuild(api, server_id, TWO_54, key_name=None)
    assert answer.json()["server"]["key_name"] is None
    assert (await api.get(f"/servers/{server_id}"))["server"]["key_name"] is None


async def test_key_name_is_supported_in_microversion_2_54(api: Api) -> None:
    await refused(api, "2.53", key_name="key")
    assert "key_name" not in await rebuilt(api, "2.53")


# Base64 of that length may stand in lines: 65,532 characters of it and two ends of lines.
@pytest.mark.parametrize("user_data", ["aA==", base64.b64encode(bytes(49149)).decode() + "\n\n"])
async def test_user_data_contains_1_to_65534_characters(api: Api, user_data: str) -> None:
    assert (await rebuilt(api, TWO_57, user_data=user_data))["user_data"] == user_data


@pytest.mark.parametrize("user_data", ["", base64.b64encode(bytes(49149)).decode() + "\n\n\n"])
async def test_user_data_of_another_length_is_refused(api: Api, user_data: str) -> None:
    await refused(api, TWO_57, user_data=user_data)


async def test_user_data_must_be_encrypted_using_base64(api: Api) -> None:
    await refused(api, TWO_57, user_data="#!/bin/sh")


async def test_user_data_is_supported_in_microversion_2_57(api: Api) -> None:
    await refused(api, "2.56", user_data="aA==")
    assert "user_data" not in await rebuilt(api, "2.56")


async def test_a_field_that_the_page_does_not_name_is_refused(api: Api) -> None:
    await refused(api, hostname="other")
