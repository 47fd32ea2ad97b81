"""SSH host keys on a console that the guest, and whoever can write there, has written."""

import asyncio
from pathlib import Path

import pytest

from renova.agent import disks
from renova.agent.host_keys import HostKeys, carry, found_in, merged
from renova.agent.qemu import MachineSpec
from renova.agent.qemu.fake import Behaviour, FakeHypervisor
from renova.host_key import HostKey

SERVER = "5ba5a66f-1d3c-4d2d-9b1b-1f0e8f4dbe0e"
FIRST = HostKey(
    "ssh-ed25519",
    "SHA256:gtvuZgaYa9KC3QWYcT08R49/eBKyvfAClxvo8oP6OTA",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPt/mAMS0jNrqQtPEKoZUCqGI29AmFyJ3/7lI+xZUZ8L",
)
OTHER = HostKey(
    "ssh-ed25519",
    "SHA256:E+gmYMUSsTkCJcCOpM2idwAHa9r0v9z0QIWVdQKmOJQ",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOCtA10sszRUcBWwHJU8dmwOsEMG+cskPMUk78jh4R0L",
)
ECDSA = HostKey(
    "ecdsa-sha2-nistp256",
    "SHA256:N3xggiccY92hnMav88NAlxoiiNPAURhEqIfJaebcraI",
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBBiZ9nKVW2noM9jrWUNzWVIN"
    "+WEIToVpLV/38HcnZTvSzus7WjpwJPh9ukpa9BZkH81bZ2MFoaHtHAAq6XWkW+I=",
)
BITS = {"ssh-ed25519": ("256", "ED25519"), "ecdsa-sha2-nistp256": ("256", "ECDSA")}


def only_fingerprint(key: HostKey) -> HostKey:
    return HostKey(key.type, key.fingerprint, None)


def fingerprints(*keys: HostKey) -> str:
    """As cloud-init 22.4 writes them through logger, the serial port's line ends included."""
    lines = ["#" * 61, "-----BEGIN SSH HOST KEY FINGERPRINTS-----"]
    for key in keys:
        bits, algorithm = BITS[key.type]
        lines.append(f"{bits} {key.fingerprint} root@web ({algorithm})")
    lines += ["-----END SSH HOST KEY FINGERPRINTS-----", "#" * 61]
    return "".join(f"<14>Nov 27 22:51:06 cloud-init: {line}\r\n" for line in lines)


def keys_block(*lines: str) -> str:
    marked = ("-----BEGIN SSH HOST KEY KEYS-----", *lines, "-----END SSH HOST KEY KEYS-----")
    return "".join(f"{line}\r\n" for line in marked)


def written(*keys: HostKey) -> str:
    return fingerprints(*keys) + keys_block(*(f"{key.public_key} root@web" for key in keys))


BOOT = "[    0.000000] Linux version 6.1\r\nci-info: | ens3 | True | 10.77.0.4 |\r\n"


def test_what_cloud_init_writes_is_found_with_its_fingerprints() -> None:
    assert found_in(f"{BOOT}{written(ECDSA, FIRST)}\r\nweb login: ") == [ECDSA, FIRST]


def test_fingerprints_alone_are_enough() -> None:
    assert found_in(BOOT + fingerprints(ECDSA, FIRST)) == [only_fingerprint(ECDSA), only_fingerprint(FIRST)]


def test_the_first_block_counts_and_the_first_key_of_a_type() -> None:
    assert found_in(written(FIRST) + written(OTHER, ECDSA)) == [FIRST]
    assert found_in(keys_block(str(FIRST.public_key), str(OTHER.public_key))) == [FIRST]


@pytest.mark.parametrize(
    "line",
    [
        "ssh-ed25519 AAAA root@web",
        "ssh-ed25519 ../../etc/passwd",
        f"ssh-rsa {str(FIRST.public_key).split()[1]}",
        f"[   61.5] usb: {FIRST.public_key}",
        f"{str(FIRST.public_key)[:40]}[   61.5] audit: {str(FIRST.public_key)[40:]}",
        f"{FIRST.public_key}AAAA",
        f'from="*",{FIRST.public_key}',
        f"{FIRST.public_key} " + "x" * 5000,
        "ssh-ed25519 " + "A" * 100_000,
        "\x1b[2J" + str(FIRST.public_key),
        "ssh-ed25519 ÀÀÀÀ",
    ],
)
def test_a_line_that_is_no_key_is_left_out(line: str) -> None:
    assert found_in(keys_block(line, f"{ECDSA.public_key} root@web")) == [ECDSA]


@pytest.mark.parametrize(
    "console",
    [
        "",
        BOOT,
        written(FIRST).partition("-----END SSH HOST KEY F")[0],
        keys_block(),
        # The keys that may log in are not the host's.
        f"ci-info: | ssh-ed25519 | {FIRST.fingerprint} | - | me |\r\n{FIRST.public_key} me\r\n",
        "-----BEGIN SSH HOST KEY KEYS-----\n" * 20_000,
        "-----END SSH HOST KEY KEYS-----\n" + "-----BEGIN SSH HOST KEY FINGERPRINTS-----\n" * 20_000,
    ],
)
def test_without_a_whole_block_there_is_nothing(console: str) -> None:
    assert found_in(console) == []


def test_what_was_found_first_stays_and_gets_only_its_own_keys() -> None:
    assert merged([], [FIRST]) == [FIRST]
    assert merged([FIRST], [OTHER, ECDSA]) == [FIRST]
    assert merged([only_fingerprint(FIRST)], [OTHER]) == [only_fingerprint(FIRST)]
    assert merged([only_fingerprint(FIRST)], [OTHER, FIRST]) == [FIRST]


class Host:
    """A server whose generations write what `consoles` says."""

    def __init__(self, state_path: Path) -> None:
        self.consoles: dict[int, str] = {}
        self.state_path = state_path
        self.hypervisor = FakeHypervisor(lambda spec: Behaviour(console=self.consoles[spec.generation]))
        self.directory = disks.server_directory(state_path, SERVER)
        self.directory.mkdir(parents=True)
        self.host_keys = HostKeys(self.hypervisor, state_path)

    async def boot(self, generation: int, console: str) -> None:
        if (machine := self.hypervisor.get(SERVER)) is not None:
            await machine.quit()
        self.consoles[generation] = console
        await self.hypervisor.start(MachineSpec(SERVER, generation, "web", 1, 64, "/base", "raw", "/root"))

    async def of(self, generation: int) -> list[HostKey]:
        return await self.host_keys.of(SERVER, generation)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


async def test_a_generation_has_the_keys_of_its_own_boot(host: Host) -> None:
    await host.boot(1, written(FIRST))
    assert await host.of(1) == [FIRST]
    await host.boot(2, BOOT)
    assert await host.of(2) == []
    await host.boot(2, written(OTHER))
    assert (await host.of(2), await host.of(1)) == ([OTHER], [FIRST])


async def test_a_system_that_is_gone_back_to_writes_nothing_and_is_known(host: Host) -> None:
    await host.boot(1, written(FIRST))
    await host.host_keys.watch()
    await host.boot(2, written(OTHER))
    await host.host_keys.watch()
    await host.boot(1, BOOT)
    assert await host.of(1) == [FIRST]


async def test_a_later_text_on_the_console_changes_nothing(host: Host) -> None:
    await host.boot(1, written(FIRST))
    await host.host_keys.watch()
    await host.boot(1, written(OTHER, ECDSA))
    await host.host_keys.watch()
    assert await host.of(1) == [FIRST]


async def test_the_next_agent_knows_them_too(host: Host) -> None:
    await host.boot(1, written(FIRST))
    await host.of(1)
    machine = host.hypervisor.get(SERVER)
    assert machine is not None
    await machine.quit()
    assert await HostKeys(host.hypervisor, host.state_path).of(SERVER, 1) == [FIRST]


async def test_many_who_ask_at_once_get_the_same(host: Host) -> None:
    await host.boot(1, written(FIRST))
    assert await asyncio.gather(*(host.of(1) for _ in range(20))) == [[FIRST]] * 20


async def test_keys_are_carried_to_a_copy_and_go_with_their_generation(host: Host) -> None:
    await host.boot(1, written(FIRST))
    await host.of(1)
    carry(host.directory, 1, 2)
    carry(host.directory, 7, 8)
    disks.remove(host.directory, 1)
    assert (await host.of(2), await host.of(8)) == ([FIRST], [])
    disks.remove(host.directory, 2)
    assert list(host.directory.iterdir()) == []


async def test_a_server_that_is_being_deleted_gets_no_file_back(host: Host) -> None:
    await host.boot(1, written(FIRST))
    disks.remove_all(host.directory)
    await host.host_keys.watch()
    assert not host.directory.exists()
