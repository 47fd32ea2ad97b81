"""Removing generations: what they alone have goes from the host's disk first, their rows go last."""

from collections.abc import Collection
from pathlib import Path

from renova.agent import data_disks, disks
from renova.agent.files import in_thread
from renova.compute import generations
from renova.db.session import Sessions


async def drop(state_path: str | Path, sessions: Sessions, server_id: str, numbers: Collection[int]) -> None:
    """Remove these generations of a server. A kill in between leaves what the next call finishes.

    An ephemeral disk stays for as long as another generation has it too.
    """
    async with sessions() as session:
        rows = await generations.all_of(session, server_id)
    still_had = {row.ephemeral_generation for row in rows if row.number not in numbers}
    made_by = {row.ephemeral_generation for row in rows if row.number in numbers} - still_had
    directory = disks.server_directory(state_path, server_id)
    for number in numbers:
        await in_thread(disks.remove, directory, number)
        await in_thread(data_disks.remove_swap, directory, number)
    for maker in made_by:
        if maker is not None:
            await in_thread(data_disks.remove_ephemeral, directory, maker)
    async with sessions.begin() as session:
        await generations.forget(session, server_id, numbers)
