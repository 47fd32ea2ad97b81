"""Which of QEMU's accelerators suits this host: the one under which a boot sector that has to compute speaks
first.

Neither /dev/kvm that opens nor a virtual machine that it makes proves anything: where KVM is itself emulated,
a guest may be fifty times slower than under TCG, and `-cpu host` aborts QEMU.
"""

import asyncio
import json
import logging
import os
import platform
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from renova.agent.qemu.process import Identity

# KVM has the host's own processor; under TCG "max" is everything that QEMU can emulate.
CPU = {"tcg": "max", "kvm": "host"}
KVM = Path("/dev/kvm")
# Seconds that a trial may take.
LIMIT = 2.0
# 16-bit code: counts from 0x200000 down to 0, then says "!" on the first serial port and halts.
SECTOR = bytes.fromhex(
    "66 B9 00 00 20 00"  # mov ecx, 0x200000
    "66 49"  # again: dec ecx
    "75 FC"  # jnz again
    "BA F8 03"  # mov dx, 0x3F8
    "B0 21 EE"  # mov al, '!'; out dx, al
    "F4 EB FD"  # halt: hlt; jmp halt
).ljust(510, b"\0") + bytes.fromhex("55 AA")

# Bytes of its disk: the firmware reads none that has not even one track.
SIZE = 1024 * 1024

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """`seconds` by accelerator: until the sector spoke, None where it did not."""

    accelerator: str
    seconds: dict[str, float | None]
    host: dict[str, str]


async def find_accelerator(program: str, identity: Identity | None, memory: Path) -> str:
    """ "kvm" or "tcg", as `memory` knows, or else after trials of at most LIMIT seconds each.

    They are made again when QEMU, the kernel or /dev/kvm is another. `identity` is whom QEMU runs as.
    """
    host = await _host(program)
    with suppress(OSError, ValueError, TypeError):
        known = Answer(**json.loads(await asyncio.to_thread(memory.read_text)))
        if known.host == host:
            return known.accelerator
    # One after the other: they would slow each other down.
    seconds = {name: await _trial(program, name, identity) for name in CPU}
    spoke = {name: taken for name, taken in seconds.items() if taken is not None}
    # TCG works everywhere, if only late.
    answer = Answer(min(spoke, key=spoke.__getitem__) if spoke else "tcg", seconds, host)
    told = ", ".join(
        f"under {name} " + (f"after {taken:.2f} s" if taken else f"not within {LIMIT:.0f} s")
        for name, taken in seconds.items()
    )
    logger.info("Accelerator %s: a boot sector spoke %s.", answer.accelerator, told)
    if spoke:
        # An answer that can't be kept is found again at the next start.
        with suppress(OSError):
            await asyncio.to_thread(memory.write_text, json.dumps(asdict(answer), indent=1))
    return answer.accelerator


async def _host(program: str) -> dict[str, str]:
    """What an answer holds for."""
    kvm = "absent"
    with suppress(OSError):
        device = await asyncio.to_thread(KVM.stat)
        kvm = f"{device.st_rdev:x} {device.st_mode:o} {device.st_uid} {device.st_gid}"
    version = ""
    with suppress(OSError):
        asked = await asyncio.create_subprocess_exec(
            program, "--version", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
        version = (await asked.communicate())[0].decode(errors="replace").partition("\n")[0]
    return {"qemu": version, "kernel": platform.release(), "kvm": kvm}


async def _trial(program: str, accelerator: str, identity: Identity | None) -> float | None:
    """Seconds from the start of QEMU until the sector speaks; None where it does not within LIMIT."""
    written = os.memfd_create("sector")
    os.write(written, SECTOR)
    os.truncate(written, SIZE)
    # QEMU takes a descriptor only for the access that it was opened for.
    sector = os.open(f"/proc/self/fd/{written}", os.O_RDONLY)
    os.close(written)
    try:
        file = {"driver": "file", "filename": "/dev/fdset/1", "read-only": True, "auto-read-only": False}
        node = {"driver": "raw", "node-name": "root", "read-only": True, "file": file}
        begun = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            program,
            *("-no-user-config", "-nodefaults", "-display", "none", "-m", "size=64M"),
            *("-machine", f"q35,accel={accelerator}", "-cpu", CPU[accelerator]),
            *("-add-fd", f"fd={sector},set=1", "-blockdev", json.dumps(node)),
            *("-device", "virtio-blk-pci,drive=root,bootindex=0", "-serial", "stdio"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            pass_fds=(sector,),
            cwd="/",
            **_run_as(identity),
        )
    except OSError:
        return None
    finally:
        os.close(sector)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(LIMIT):
            spoke = await process.stdout.read(1) == b"!"
        return time.monotonic() - begun if spoke else None
    except TimeoutError:
        return None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _run_as(identity: Identity | None) -> dict[str, Any]:
    if identity is None:
        return {}
    return {"user": identity.uid, "group": identity.gid, "extra_groups": identity.groups}
