"""Ephemeral and swap disks through every operation, failed and killed at every step."""

import io
import json
import re
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import procrastinate
import pytest
from pycdlib import PyCdlib
from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncEngine

from renova.agent import operations
from renova.compute import resize
from renova.compute.power import begin_delete
from renova.compute.quotas import Limits
from renova.compute.undo import Rules, begin_undo
from renova.db.tables import Flavor, Generation
from renova.errors import Invalid
from tests.functional.agent_world import (
    NEW,
    NEWER,
    STEPS,
    Killed,
    World,
    Wrap,
    after,
    before,
    die_working,
    with_step,
)

GIB, MIB = 1024**3, 1024**2
# Where a test writes: the last bytes of the smaller disk, where no file system keeps anything.
MARK_AT = GIB - 16
PROFILES = ["noa", "nova"]
RESIZE = [step.name for step in operations.OPERATIONS["resize"].steps]


@pytest.fixture
async def world(tmp_path: Path, engine: AsyncEngine, jobs: procrastinate.App) -> World:
    """A server with an ephemeral disk of 1 GiB and a swap disk of 64 MiB."""
    world = World(tmp_path, engine, jobs)
    await world.create(sizes={"ephemeral": 1, "swap": 64})
    return world


@pytest.fixture
async def larger(world: World) -> Flavor:
    async with world.sessions.begin() as session:
        flavor = Flavor(id="large", name="large", vcpus=1, ram=512, disk=2, ephemeral=2, swap=32)
        session.add(flavor)
    return flavor


def disk(world: World, name: str) -> Path:
    return Path(world.conf.state_path) / "servers" / world.server_id / name


def data_files(world: World) -> list[str]:
    return [name for name in world.files() if name.endswith(".raw")]


def attached(world: World) -> list[str]:
    """The data disks of the machine that runs, in its guest's order."""
    machine = world.hypervisor.get(world.server_id)
    assert machine is not None
    assert not machine.ended.done()
    return [Path(path).name for path in machine.spec.data_disks]


def write(world: World, name: str, text: str) -> None:
    """What a guest does."""
    with disk(world, name).open("r+b") as file:
        file.seek(MARK_AT)
        file.write(text.encode().ljust(16))


def read(world: World, name: str) -> str:
    with disk(world, name).open("rb") as file:
        file.seek(MARK_AT)
        return file.read(16).decode().strip().strip("\0")


def probe(path: Path) -> dict[str, str]:
    """What a guest that looks for a file system finds."""
    said = subprocess.check_output(["/sbin/blkid", "-p", "-o", "export", path], text=True)
    return dict(line.split("=", 1) for line in said.splitlines())


async def ask_undo(world: World) -> None:
    await world.ask(begin_undo, rules=Rules("noa", timedelta(hours=24), "restore"))


async def ask_resize(world: World, flavor: Flavor) -> None:
    await world.ask(resize.begin_resize, limits=Limits.of(world.conf), flavor=flavor, disk_config=None)


def test_a_new_server_has_the_disks_of_its_flavor_ready_for_use(world: World) -> None:
    assert attached(world) == ["ephemeral-1.raw", "swap-1.raw"]
    ephemeral, swap = disk(world, "ephemeral-1.raw"), disk(world, "swap-1.raw")
    assert (ephemeral.stat().st_size, swap.stat().st_size) == (GIB, 64 * MIB)
    assert ephemeral.stat().st_blocks * 512 < 4 * MIB, "it takes what is written to it, not what it could"
    found = probe(ephemeral)
    assert (found["TYPE"], found["LABEL"]) == ("ext4", "ephemeral0")
    assert probe(swap)["TYPE"] == "swap"
    subprocess.check_call(["/sbin/e2fsck", "-f", "-n", ephemeral], stdout=subprocess.DEVNULL)
    assert {path.stat().st_mode & 0o777 for path in (ephemeral, swap)} == {0o600}


def test_the_guest_is_told_which_disk_is_which(world: World) -> None:
    content, iso = io.BytesIO(), PyCdlib()
    iso.open_fp(io.BytesIO(disk(world, "config-1.iso").read_bytes()))
    iso.get_file_from_iso_fp(content, rr_path="/ec2/latest/meta-data.json")
    assert json.loads(content.getvalue())["block-device-mapping"] == {
        "ami": "vda",
        "root": "/dev/vda",
        "ephemeral0": "/dev/vdc",
        "swap": "/dev/vdd",
    }


@pytest.mark.parametrize(("profile", "preserve"), [("noa", False), ("noa", True), ("nova", True)])
async def test_a_kept_ephemeral_disk_is_the_same_before_and_after_a_rebuild_and_its_undo(
    world: World, profile: str, *, preserve: bool
) -> None:
    write(world, "ephemeral-1.raw", "of the first")
    await world.ask_rebuild(profile=profile, preserve_ephemeral=preserve)
    await world.work()
    assert attached(world) == ["ephemeral-1.raw", "swap-2.raw"], "a swap disk is always made anew"
    assert read(world, "ephemeral-1.raw") == "of the first"
    write(world, "ephemeral-1.raw", "of the second")
    await ask_undo(world)
    await world.work()
    assert attached(world) == ["ephemeral-1.raw", "swap-1.raw"]
    assert read(world, "ephemeral-1.raw") == "of the second", "like a volume, it is touched by no undo"


async def test_profile_nova_makes_the_ephemeral_disk_anew_and_an_undo_brings_the_old_one_back(
    world: World,
) -> None:
    write(world, "ephemeral-1.raw", "of the first")
    await world.ask_rebuild(profile="nova")
    await world.work()
    assert attached(world) == ["ephemeral-2.raw", "swap-2.raw"]
    assert read(world, "ephemeral-2.raw") == ""
    assert probe(disk(world, "ephemeral-2.raw"))["LABEL"] == "ephemeral0"
    await ask_undo(world)
    await world.work()
    assert attached(world) == ["ephemeral-1.raw", "swap-1.raw"]
    assert read(world, "ephemeral-1.raw") == "of the first"


@pytest.mark.parametrize(
    ("profile", "left"),
    [
        ("noa", ["ephemeral-1.raw", "swap-2.raw", "swap-3.raw"]),
        ("nova", ["ephemeral-2.raw", "ephemeral-3.raw", "swap-2.raw", "swap-3.raw"]),
    ],
)
async def test_what_no_kept_system_has_is_freed(world: World, profile: str, left: list[str]) -> None:
    for image in (NEW, NEWER):
        await world.ask_rebuild(image, profile=profile)
        await world.work()
    assert data_files(world) == left
    async with world.sessions.begin() as session:
        superseded = Generation.superseded_at.is_not(None)
        await session.execute(
            update(Generation).where(superseded).values(superseded_at=func.now() - timedelta(hours=25))
        )
    await (await world.agent()).drop_expired()
    assert data_files(world) == [name for name in left if "2" not in name]
    await world.ask(begin_delete)
    await world.work()
    assert world.files() == []


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("moment", [before, after], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_rebuild_that_fails_at_any_step_leaves_the_old_disks_alone(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    moment: Callable[[BaseException], Wrap],
    profile: str,
) -> None:
    write(world, "ephemeral-1.raw", "of the first")
    broken = with_step(operations.OPERATIONS["rebuild"], step, moment(ValueError("it broke")))
    monkeypatch.setitem(operations.OPERATIONS, "rebuild", broken)
    await world.ask_rebuild(profile=profile)
    await world.work()
    assert attached(world) == data_files(world) == ["ephemeral-1.raw", "swap-1.raw"]
    assert read(world, "ephemeral-1.raw") == "of the first"


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("moment", [before, after], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_an_agent_killed_at_any_step_of_a_rebuild_is_carried_on_by_the_next(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    moment: Callable[[BaseException], Wrap],
    profile: str,
) -> None:
    write(world, "ephemeral-1.raw", "of the first")
    await world.ask_rebuild(profile=profile)
    with monkeypatch.context() as patch:
        broken = with_step(operations.OPERATIONS["rebuild"], step, moment(Killed()))
        patch.setitem(operations.OPERATIONS, "rebuild", broken)
        await die_working(world)
    await world.work()
    ephemeral = "ephemeral-1.raw" if profile == "noa" else "ephemeral-2.raw"
    assert attached(world) == [ephemeral, "swap-2.raw"]
    assert data_files(world) == sorted({"ephemeral-1.raw", ephemeral, "swap-1.raw", "swap-2.raw"})
    assert read(world, "ephemeral-1.raw") == "of the first"


async def test_a_kept_disk_that_is_gone_stops_a_rebuild_before_it_touches_the_server(world: World) -> None:
    was = world.running()
    disk(world, "ephemeral-1.raw").unlink()
    await world.ask_rebuild()
    await world.work()
    assert world.running() == was
    assert (await world.actions())[-1].message == "Error: make_disks: the ephemeral disk is gone"


async def test_a_resize_copies_the_ephemeral_disk_grows_it_and_makes_swap_anew(
    world: World, larger: Flavor
) -> None:
    write(world, "ephemeral-1.raw", "of the first")
    await ask_resize(world, larger)
    await world.work()
    assert attached(world) == ["ephemeral-2.raw", "swap-2.raw"]
    assert read(world, "ephemeral-2.raw") == "of the first"
    assert disk(world, "ephemeral-2.raw").stat().st_size == 2 * GIB
    assert disk(world, "swap-2.raw").stat().st_size == 32 * MIB
    write(world, "ephemeral-2.raw", "of the second")
    await world.ask(resize.begin_revert, limits=Limits.of(world.conf))
    await world.work()
    assert attached(world) == data_files(world) == ["ephemeral-1.raw", "swap-1.raw"]
    assert read(world, "ephemeral-1.raw") == "of the first"


@pytest.mark.parametrize("moment", [before, after], ids=["before", "after"])
@pytest.mark.parametrize("step", RESIZE)
async def test_an_agent_killed_at_any_step_of_a_resize_is_carried_on_by_the_next(
    world: World,
    larger: Flavor,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    moment: Callable[[BaseException], Wrap],
) -> None:
    write(world, "ephemeral-1.raw", "of the first")
    await ask_resize(world, larger)
    with monkeypatch.context() as patch:
        broken = with_step(operations.OPERATIONS["resize"], step, moment(Killed()))
        patch.setitem(operations.OPERATIONS, "resize", broken)
        await die_working(world)
    await world.work()
    assert attached(world) == ["ephemeral-2.raw", "swap-2.raw"]
    assert read(world, "ephemeral-2.raw") == "of the first"
    await world.ask(resize.begin_confirm)
    await world.work()
    assert data_files(world) == ["ephemeral-2.raw", "swap-2.raw"]


@pytest.mark.parametrize(
    ("profile", "found"), [("noa", "ephemeral-3.raw"), ("nova", "ephemeral-1.raw")], ids=PROFILES
)
async def test_an_undo_after_a_resize_has_what_was_written_since_on_disks_of_the_new_size(
    world: World, larger: Flavor, profile: str, found: str
) -> None:
    write(world, "ephemeral-1.raw", "of the first")
    await world.ask_rebuild(profile=profile)
    await world.work()
    await ask_resize(world, larger)
    await world.work()
    await world.ask(resize.begin_confirm)
    await world.work()
    write(world, "ephemeral-3.raw", "after the resize")
    await ask_undo(world)
    await world.work()
    assert attached(world) == [found, "swap-1.raw"]
    assert read(world, found) == ("after the resize" if profile == "noa" else "of the first")
    assert disk(world, found).stat().st_size == 2 * GIB
    assert disk(world, "swap-1.raw").stat().st_size == 32 * MIB


async def test_an_ephemeral_disk_never_shrinks(world: World) -> None:
    async with world.sessions.begin() as session:
        bare = Flavor(id="bare", name="bare", vcpus=1, ram=512, disk=1)
        session.add(bare)
    with pytest.raises(Invalid, match=re.escape("Flavor's is 0 GiB, the server's is 1 GiB.")):
        await ask_resize(world, bare)


async def test_disks_that_come_with_a_resize(
    tmp_path: Path, engine: AsyncEngine, jobs: procrastinate.App
) -> None:
    world = World(tmp_path, engine, jobs)
    await world.create()
    assert attached(world) == []
    async with world.sessions.begin() as session:
        flavor = Flavor(id="large", name="large", vcpus=1, ram=512, disk=2, ephemeral=2, swap=32)
        session.add(flavor)
    await ask_resize(world, flavor)
    await world.work()
    assert attached(world) == ["ephemeral-2.raw", "swap-2.raw"]
    assert probe(disk(world, "ephemeral-2.raw"))["LABEL"] == "ephemeral0"
    await world.ask(resize.begin_revert, limits=Limits.of(world.conf))
    await world.work()
    assert (attached(world), data_files(world)) == ([], [])
