"""The seed page, "Returned Values": each general one that this call, or one beside it, can answer."""

from tests.functional.api_without_agent import Api


async def test_200_and_202_and_204(api: Api) -> None:
    server_id = await api.new()
    assert (await api.call("GET", f"/servers/{server_id}")).status_code == 200
    assert (await api.act(server_id, "rebuild", {"imageRef": api.image})).status_code == 202
    await api.finish(server_id)
    assert (await api.call("DELETE", f"/servers/{server_id}")).status_code == 204


async def test_201_created(api: Api) -> None:
    answer = await api.call("PUT", f"/servers/{await api.new()}/tags/blue", version="2.26")
    assert answer.status_code == 201


async def test_300_multiple_choices(api: Api) -> None:
    answer = await api.http.get("/servers")
    assert answer.status_code == 300
    assert {choice["id"] for choice in answer.json()["choices"]} == {"v2.0", "v2.1"}


async def test_400_bad_request(api: Api) -> None:
    answer = await api.act(await api.new(), "rebuild", {})
    assert (answer.status_code, answer.json()["badRequest"]["code"]) == (400, 400)


async def test_401_unauthorized(api: Api) -> None:
    answer = await api.act(await api.new(), "rebuild", {"imageRef": api.image}, who={"X-Auth-Token": "stale"})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Keystone uri=")


async def test_403_forbidden(api: Api) -> None:
    answer = await api.act(await api.new(), "rebuild", {"imageRef": api.image}, who=api.reader)
    assert (answer.status_code, answer.json()["forbidden"]["code"]) == (403, 403)


async def test_404_not_found(api: Api) -> None:
    answer = await api.act("none", "rebuild", {"imageRef": api.image})
    assert (answer.status_code, answer.json()["itemNotFound"]["code"]) == (404, 404)


async def test_405_method_not_allowed(api: Api) -> None:
    answer = await api.call("PUT", f"/servers/{await api.new()}/action", {"rebuild": {"imageRef": api.image}})
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


async def test_406_not_acceptable(api: Api) -> None:
    answer = await api.act(await api.new(), "rebuild", {"imageRef": api.image}, version="2.999")
    assert (answer.status_code, answer.json()["computeFault"]["code"]) == (406, 406)


async def test_409_conflict(api: Api) -> None:
    server_id = await api.new()
    assert (await api.act(server_id, "rebuild", {"imageRef": api.image})).status_code == 202
    answer = await api.act(server_id, "rebuild", {"imageRef": api.image})
    assert (answer.status_code, answer.json()["conflictingRequest"]["code"]) == (409, 409)


async def test_501_not_implemented(api: Api) -> None:
    server_id = await api.new()
    (port,) = (await api.get(f"/servers/{server_id}/os-interface"))["interfaceAttachments"]
    answer = await api.call("DELETE", f"/servers/{server_id}/os-interface/{port['port_id']}")
    assert answer.status_code == 501


async def test_503_service_unavailable_when_glance_is_away(api: Api) -> None:
    server_id = await api.new()
    api.glance.down = True
    before = await api.rows()
    answer = await api.act(server_id, "rebuild", {"imageRef": api.image})
    assert (answer.status_code, answer.json()["serviceUnavailable"]["code"]) == (503, 503)
    assert await api.rows() == before
