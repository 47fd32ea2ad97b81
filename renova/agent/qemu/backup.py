"""A copy of a running machine's root disk, made by QEMU itself as the guest runs on.

Source: QEMU's QAPI reference, blockdev-backup and the commands on jobs.
"""

import asyncio
import errno
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from renova.agent.qemu.monitor import Monitor
from renova.errors import DiskFull, RenovaError

# The node that is copied to, and the job that does it.
COPY = "snapshot"
# Seconds between two questions how far the job is: QEMU tells of its end only by an event, which a restart of
# the agent would miss.
ASK_AGAIN = 0.1
NO_SPACE = os.strerror(errno.ENOSPC)


async def copy_root(
    monitor: Monitor, target: Path, still: Callable[[], AbstractAsyncContextManager[None]]
) -> None:
    """Copy the disk of the node "root", as it is at the moment inside `still()`, into an empty qcow2 file.

    Raises RenovaError with QEMU's own sentence, DiskFull where the target's disk is.
    """
    await _give_up(monitor)
    descriptor = await asyncio.to_thread(os.open, target, os.O_RDWR)
    try:
        number = await monitor.hand_over(descriptor)
    finally:
        os.close(descriptor)
    try:
        file = {"driver": "file", "filename": f"/dev/fdset/{number}"}
        await monitor.execute("blockdev-add", {"driver": "qcow2", "node-name": COPY, "file": file})
        async with still():
            await monitor.execute(
                "blockdev-backup",
                {"job-id": COPY, "device": "root", "target": COPY, "sync": "full", "auto-dismiss": False},
            )
        error = await _end_of_job(monitor)
        if error is not None:
            said = f"QEMU could not copy the disk: {error}"
            raise DiskFull(said) if NO_SPACE in error else RenovaError(said)
    finally:
        await _give_up(monitor)
        await monitor.execute("remove-fd", {"fdset-id": number})


async def _end_of_job(monitor: Monitor) -> str | None:
    """Wait until the job has ended; returns what went wrong."""
    while True:
        for job in await monitor.execute("query-jobs"):
            if job["id"] == COPY and job["status"] == "concluded":
                return str(job["error"]) if "error" in job else None
        await asyncio.sleep(ASK_AGAIN)


async def _give_up(monitor: Monitor) -> None:
    """No job and no node of a copy are left, whatever became of it."""
    for job in await monitor.execute("query-jobs"):
        if job["id"] == COPY:
            if job["status"] != "concluded":
                await monitor.execute("block-job-cancel", {"device": COPY, "force": True})
                await _end_of_job(monitor)
            await monitor.execute("job-dismiss", {"id": COPY})
    nodes = await monitor.execute("query-named-block-nodes", {"flat": True})
    if any(node["node-name"] == COPY for node in nodes):
        await monitor.execute("blockdev-del", {"node-name": COPY})
