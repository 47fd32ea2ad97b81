"""Images that were made to do harm: refused in the request, or at the latest by QEMU, which only had them as
a base; the old system runs on.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import procrastinate
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests import sample_images
from tests.functional.agent_world import NEW, OLD
from tests.functional.api_without_agent import Api, api_without_agent
from tests.functional.qemu_world import qemu_world
from tests.guest.boot_sector import Then, write_image
from tests.sample_images import MIB

TIB = 1024**4


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with api_without_agent(database, tmp_path) as api:
        yield api


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(sample_images.qcow2(backing=b"/etc/shadow"), "backing_file", id="backing file"),
        pytest.param(sample_images.qcow2(backing=b"json:{}"), "backing_file", id="backing json"),
        pytest.param(sample_images.qcow2(incompatible=1 << 2), "data_file", id="data file"),
        pytest.param(sample_images.qcow2(l1_entries=2**32 - 1), "cut off", id="huge table"),
        pytest.param(sample_images.qcow2(TIB), "Flavor's disk is too small", id="larger than the flavor"),
        pytest.param(sample_images.qcow2(2**63), "Flavor's disk is too small", id="larger than any disk"),
        pytest.param(sample_images.vmdk(), "does not match disk_format", id="another format"),
        pytest.param(bytes(MIB), "does not match disk_format", id="nothing"),
    ],
)
async def test_a_request_for_it_is_refused_and_changes_nothing(api: Api, data: bytes, reason: str) -> None:
    server_id, image = await api.new(), str(uuid4())
    api.glance.add(image, data)
    rows = await api.rows()
    answer = await api.act(server_id, "rebuild", {"imageRef": image})
    assert answer.status_code == 400, answer.text
    assert reason in answer.json()["badRequest"]["message"]
    new = {"name": "web", "imageRef": image, "flavorRef": "1"}
    assert (await api.call("POST", "/servers", {"server": new})).status_code == 400
    assert await api.rows() == rows


async def test_one_that_only_qemu_sees_through_gives_way_to_the_old_system(
    engine: AsyncEngine, jobs: procrastinate.App, tmp_path: Path
) -> None:
    """Its disk is larger than its table can tell of."""
    async with qemu_world(engine, jobs) as world:
        image = write_image(tmp_path / "old.qcow2", "still here", Then.OBEY, disk_format="qcow2")
        world.glance.add(OLD, image.read_bytes())
        world.glance.add(NEW, sample_images.qcow2(900 * MIB, l1_entries=1))
        await world.create()
        await world.ask_rebuild()
        await world.work()
        await world.until_said("still here")
        server = await world.server()
        assert (server.vm_state, server.image_id, server.generation) == ("active", OLD, 1)
        message = (await world.actions())[-1].message
        assert message is not None
        assert "L1 table is too small" in message
