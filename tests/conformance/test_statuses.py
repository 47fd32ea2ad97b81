"""The seed page, table 4, "status": each of its values that occurs here, brought about by requests."""

from tests.functional.api_without_agent import Api
from tests.functional.test_resize_api import finish_resize


async def status(api: Api, server_id: str) -> str:
    shown: str = (await api.get(f"/servers/{server_id}"))["server"]["status"]
    return shown


async def test_build_then_active(api: Api) -> None:
    server_id = await api.new(finished=False)
    assert await status(api, server_id) == "BUILD"
    await api.finish(server_id)
    assert await status(api, server_id) == "ACTIVE"


async def test_rebuild(api: Api) -> None:
    server_id = await api.new()
    await api.act(server_id, "rebuild", {"imageRef": api.other_image})
    assert await status(api, server_id) == "REBUILD"


async def test_reboot(api: Api) -> None:
    server_id = await api.new()
    await api.act(server_id, "reboot", {"type": "SOFT"})
    assert await status(api, server_id) == "REBOOT"


async def test_hard_reboot(api: Api) -> None:
    server_id = await api.new()
    await api.act(server_id, "reboot", {"type": "HARD"})
    assert await status(api, server_id) == "HARD_REBOOT"


async def test_shutoff(api: Api) -> None:
    server_id = await api.new()
    await api.act(server_id, "os-stop")
    await api.finish(server_id)
    assert await status(api, server_id) == "SHUTOFF"


async def test_resize_then_verify_resize(api: Api) -> None:
    server_id = await api.new()
    await api.act(server_id, "resize", {"flavorRef": "2"})
    assert await status(api, server_id) == "RESIZE"
    await finish_resize(api, server_id)
    assert await status(api, server_id) == "VERIFY_RESIZE"


async def test_error(api: Api) -> None:
    server_id = await api.new()
    await api.act(server_id, "os-resetState", {"state": "error"}, who=api.admin)
    assert await status(api, server_id) == "ERROR"


async def test_deleted(api: Api) -> None:
    """Its owner no longer finds the server; an admin who asks for what is deleted does."""
    server_id = await api.new()
    await api.call("DELETE", f"/servers/{server_id}")
    await api.finish(server_id)
    assert (await api.call("GET", f"/servers/{server_id}")).status_code == 404
    (shown,) = (await api.get("/servers/detail?deleted=true", who=api.admin))["servers"]
    assert (shown["id"], shown["status"]) == (server_id, "DELETED")
