"""Removing generations: what they alone have goes from the host's disk first, their rows go last."""

from collections.abc import Callable, Collection
from pathlib import Path

from renova.agent import data_disks, disks
from renova.agent.files import in_thread
from renova.compute import generations
from renova.db.session import Sessions


async def drop(state_path: str | Path, sessions: Sessions, server_id: str, numbers: Collection[int]) -> None:
    """Remove these generations of a server. A kill in between leaves what the next call finishes.

    An ephemeral disk stays for as long as another generation has it too.
    """
    await _drop(state_path, sessions, server_id, lambda number: number in numbers)


async def drop_all_but(
    state_path: str | Path, sessions: Sessions, server_id: str, kept: Collection[int]
) -> None:
    """Remove every other generation."""
    await _drop(state_path, sessions, server_id, lambda number: number not in kept)


async def _drop(
    state_path: str | Path, sessions: Sessions, server_id: str, useless: Callable[[int], bool]
) -> None:
    async with sessions() as session:
        made_by = await generations.ephemeral_generations(session, server_id)
    numbers = [number for number in made_by if useless(number)]
    if not numbers:
        return
    still_had = {maker for number, maker in made_by.items() if number not in numbers}
    makers = {made_by[number] for number in numbers} - still_had
    await in_thread(_remove, disks.server_directory(state_path, server_id), numbers, makers)
    async with sessions.begin() as session:
        await generations.forget(session, server_id, numbers)


def _remove(directory: Path, numbers: Collection[int], makers: Collection[int | None]) -> None:
    for number in numbers:
        disks.remove(directory, number)
        data_disks.remove_swap(directory, number)
    for maker in makers:
        if maker is not None:
            data_disks.remove_ephemeral(directory, maker)
