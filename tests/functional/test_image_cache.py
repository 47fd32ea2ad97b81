"""The base images of a host: fetched once, verified, whole or absent."""

import asyncio
import errno
import hashlib
import os
import stat
from collections.abc import Coroutine
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import delete, select

from renova.agent.images import CachedBase, ImageCache, Progress
from renova.db.session import Sessions
from renova.db.tables import CachedImage, Generation, Server
from renova.errors import DiskFull, ImageNotFound, ImageUnusable, Unavailable
from tests import sample_images
from tests.fake_glance import FakeGlance
from tests.sample_images import MIB


def ignore(_done: int, _total: int) -> None:
    pass


class Host:
    """A host with a cache, and the Glance that it fetches from."""

    def __init__(self, directory: Path, sessions: Sessions) -> None:
        self.directory = directory
        self.sessions = sessions
        self.glance = FakeGlance()
        self.cache = self.another_agent()

    def another_agent(self) -> ImageCache:
        return ImageCache(self.directory, "host1", self.sessions, self.glance.client)

    def ensure(self, image_id: str, progress: Progress = ignore) -> Coroutine[object, None, CachedBase]:
        record = self.glance.records[image_id]
        return self.cache.ensure(
            image_id,
            f"sha512:{record['os_hash_value']}",
            record["disk_format"],
            record["size"],
            progress=progress,
        )

    def files(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir())

    async def rows(self) -> list[CachedImage]:
        async with self.sessions() as session:
            return list(await session.scalars(select(CachedImage)))

    async def pin(self, image_id: str, on: str = "host1") -> None:
        """A server of this host is given the image."""
        record = self.glance.records[image_id]
        system = {"name": "web", "hostname": "web", "image_id": image_id}
        server = Server(
            id=str(uuid4()),
            project_id="p",
            user_id="u",
            vm_state="building",
            host=on,
            flavor={},
            reservation_id="r",
            **system,
        )
        generation = Generation(
            server_id=server.id,
            number=1,
            digest=f"sha512:{record['os_hash_value']}",
            disk_format=record["disk_format"],
            size=record["size"],
            **system,
        )
        async with self.sessions.begin() as session:
            session.add(server)
            await session.flush()
            session.add(generation)


@pytest.fixture
async def host(tmp_path: Path, sessions: Sessions) -> Host:
    host = Host(tmp_path / "images", sessions)
    await host.cache.clean()
    return host


async def test_an_image_is_fetched_once_and_kept_read_only(host: Host) -> None:
    data = sample_images.qcow2(64 * MIB)
    host.glance.add("img", data)
    base = await host.ensure("img")
    assert base == CachedBase(
        host.directory / f"sha512-{hashlib.sha512(data).hexdigest()}.qcow2", "qcow2", 64 * MIB
    )
    assert base.path.read_bytes() == data
    assert stat.S_IMODE(base.path.stat().st_mode) == 0o444
    (row,) = await host.rows()
    assert (row.host, row.disk_format, row.size, row.virtual_size) == ("host1", "qcow2", len(data), 64 * MIB)
    assert await host.ensure("img") == base
    assert len(host.glance.sent) == 1


async def test_progress_ends_with_the_whole_image(host: Host) -> None:
    host.glance.add("img", sample_images.raw(3 * MIB), "raw")
    seen: list[tuple[int, int]] = []
    await host.ensure("img", lambda done, total: seen.append((done, total)))
    assert seen == [(MIB, 3 * MIB), (2 * MIB, 3 * MIB), (3 * MIB, 3 * MIB)]


async def test_many_who_want_one_image_fetch_it_once_and_all_see_progress(host: Host) -> None:
    host.glance.add("img", sample_images.raw(2 * MIB), "raw")
    host.glance.add("copy", sample_images.raw(2 * MIB), "raw")
    last: dict[int, int] = {}

    def noting(who: int) -> Progress:
        return lambda done, _: last.update({who: done})

    bases = await asyncio.gather(
        *(host.ensure("img", noting(who)) for who in range(5)),
        host.ensure("copy"),
    )
    assert len(set(bases)) == 1
    assert len(host.glance.sent) == 1
    assert last == dict.fromkeys(range(5), 2 * MIB)


async def test_one_who_gives_up_does_not_stop_the_others(host: Host) -> None:
    host.glance.add("img", sample_images.raw(2 * MIB), "raw")
    host.glance.hold.clear()
    first, second = (asyncio.create_task(host.ensure("img")) for _ in range(2))
    await host.glance.half_sent.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    host.glance.hold.set()
    assert (await second).path.exists()
    assert len(host.glance.sent) == 1


async def test_when_all_have_given_up_nothing_is_left_and_the_next_one_starts_anew(host: Host) -> None:
    host.glance.add("img", sample_images.raw(2 * MIB), "raw")
    host.glance.hold.clear()
    waiting = [asyncio.create_task(host.ensure("img")) for _ in range(2)]
    await host.glance.half_sent.wait()
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    assert host.files() == []
    assert await host.rows() == []
    host.glance.hold.set()
    assert (await host.ensure("img")).path.exists()


@pytest.mark.parametrize(
    ("data", "disk_format"),
    [
        pytest.param(sample_images.qcow2(backing=b"/etc/shadow"), "qcow2", id="backing file"),
        pytest.param(sample_images.qcow2(incompatible=1 << 2), "qcow2", id="data file"),
        pytest.param(sample_images.vmdk(), "qcow2", id="vmdk as qcow2"),
        pytest.param(sample_images.qcow2(), "raw", id="qcow2 as raw"),
    ],
)
async def test_a_hostile_or_mislabelled_image_never_gets_a_name(
    host: Host, data: bytes, disk_format: str
) -> None:
    host.glance.add("img", data, disk_format)
    with pytest.raises(ImageUnusable, match="Image img is unacceptable"):
        await host.ensure("img")
    assert host.files() == []
    assert await host.rows() == []


@pytest.mark.parametrize(
    "record",
    [
        pytest.param({"os_hash_value": "0" * 128}, id="other bytes"),
        pytest.param({"size": 2 * MIB - 1}, id="more bytes"),
        pytest.param({"size": 2 * MIB + 1}, id="fewer bytes"),
    ],
)
async def test_bytes_that_glance_did_not_promise_are_refused(host: Host, record: dict[str, object]) -> None:
    host.glance.add("img", sample_images.raw(2 * MIB), "raw", **record)
    with pytest.raises(ImageUnusable, match="Image data does not match its size and hash"):
        await host.ensure("img")
    assert host.files() == []


async def test_an_image_that_lies_about_its_hash_does_not_fail_an_honest_one(host: Host) -> None:
    honest = host.glance.add("honest", sample_images.raw(2 * MIB), "raw")
    host.glance.add("liar", bytes(2 * MIB), "raw", os_hash_value=honest["os_hash_value"])
    refused, base = await asyncio.gather(host.ensure("liar"), host.ensure("honest"), return_exceptions=True)
    assert isinstance(refused, ImageUnusable)
    assert isinstance(base, CachedBase)
    assert base.path.read_bytes() == sample_images.raw(2 * MIB)


async def test_an_image_that_is_gone(host: Host) -> None:
    host.glance.add("img", sample_images.raw(), "raw")
    gone = host.ensure("img")
    del host.glance.records["img"]
    with pytest.raises(ImageNotFound):
        await gone


async def test_glance_that_goes_away_and_comes_back(host: Host) -> None:
    host.glance.add("img", sample_images.raw(), "raw")
    host.glance.down = True
    with pytest.raises(Unavailable):
        await host.ensure("img")
    host.glance.down = False
    assert (await host.ensure("img")).path.exists()


async def test_a_cached_image_needs_no_glance(host: Host) -> None:
    host.glance.add("img", sample_images.raw(), "raw")
    base = await host.ensure("img")
    host.glance.down = True
    assert await host.ensure("img") == base


async def test_a_full_disk_is_said_and_leaves_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    host.glance.add("img", sample_images.raw(), "raw")
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DiskFull, match=r"No space left on the host's disk for image img\."):
        await host.ensure("img")
    assert host.files() == []


async def test_an_agent_killed_between_file_and_row_repairs_the_row(host: Host) -> None:
    host.glance.add("img", sample_images.qcow2(64 * MIB))
    base = await host.ensure("img")
    async with host.sessions.begin() as session:
        await session.delete(await session.get(CachedImage, ("host1", (await host.rows())[0].digest)))
    host.cache = host.another_agent()
    assert await host.ensure("img") == base
    assert [row.virtual_size for row in await host.rows()] == [64 * MIB]
    assert len(host.glance.sent) == 1


async def test_a_new_agent_removes_what_was_half_fetched_and_rows_without_a_file(host: Host) -> None:
    host.glance.add("lost", sample_images.qcow2(), "qcow2")
    host.glance.add("kept", sample_images.raw(), "raw")
    (await host.ensure("lost")).path.unlink()
    kept = await host.ensure("kept")
    (host.directory / "sha512-abc.qcow2.part").write_bytes(b"half")
    await host.another_agent().clean()
    assert host.files() == [kept.path.name]
    assert [row.disk_format for row in await host.rows()] == ["raw"]
    assert (await host.ensure("lost")).path.exists()


async def test_only_what_no_server_has_is_evicted_and_the_one_used_longest_ago_first(host: Host) -> None:
    for name in ("pinned", "older", "newer"):
        host.glance.add(name, sample_images.raw() + name.encode(), "raw")
    paths = {name: (await host.ensure(name)).path for name in ("older", "pinned", "newer")}
    await host.pin("pinned")
    for gone in ("older", "newer"):
        assert await host.cache.evict()
        del paths[gone]
        assert host.files() == sorted(path.name for path in paths.values())
        assert len(await host.rows()) == len(paths)
    assert not await host.cache.evict()
    assert (await host.ensure("older")).path.exists()


async def test_what_a_server_of_another_host_has_may_be_evicted_here(host: Host) -> None:
    host.glance.add("img", sample_images.raw(), "raw")
    await host.ensure("img")
    await host.pin("img", on="host2")
    assert await host.cache.evict()


async def test_an_image_that_is_being_fetched_is_not_evicted(host: Host) -> None:
    host.glance.add("img", sample_images.raw(2 * MIB), "raw")
    (await host.ensure("img")).path.unlink()  # Its row stays.
    host.glance.half_sent.clear()
    host.glance.hold.clear()
    fetching = asyncio.create_task(host.ensure("img"))
    await host.glance.half_sent.wait()
    assert not await host.cache.evict()
    host.glance.hold.set()
    assert (await fetching).path.exists()


async def test_a_server_that_is_given_an_image_as_it_is_evicted_has_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever comes first: the pin is seen, or the image is fetched again."""
    host.glance.add("img", sample_images.raw(), "raw")
    await host.ensure("img")
    unlink, evicted = Path.unlink, asyncio.Event()
    loop = asyncio.get_running_loop()

    def pinned_meanwhile(path: Path, **how: bool) -> None:
        if not evicted.is_set():
            asyncio.run_coroutine_threadsafe(host.pin("img"), loop).result(10)
            loop.call_soon_threadsafe(evicted.set)
        unlink(path, **how)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", pinned_meanwhile)
        evicting = asyncio.create_task(host.cache.evict())
        await evicted.wait()
        base = await host.ensure("img")
        assert await evicting
    assert base.path.read_bytes() == sample_images.raw()
    assert not await host.cache.evict()
    assert len(await host.rows()) == 1


async def test_an_eviction_whose_commit_was_lost_is_done_again(host: Host) -> None:
    host.glance.add("img", sample_images.raw(), "raw")
    (await host.ensure("img")).path.unlink()
    assert await host.cache.evict()
    assert await host.rows() == []


async def test_a_new_agent_removes_files_that_nothing_tells_of(host: Host) -> None:
    for name in ("pinned", "unknown"):
        host.glance.add(name, sample_images.raw() + name.encode(), "raw")
        await host.ensure(name)
    await host.pin("pinned")
    pinned = (await host.ensure("pinned")).path
    async with host.sessions.begin() as session:
        await session.execute(delete(CachedImage))
    await host.another_agent().clean()
    assert host.files() == [pinned.name]


async def test_a_damaged_file_is_fetched_again(host: Host) -> None:
    host.glance.add("img", sample_images.raw(), "raw")
    base = await host.ensure("img")
    base.path.chmod(0o600)
    os.truncate(base.path, 100)
    assert (await host.ensure("img")).path.read_bytes() == sample_images.raw()
