"""Programs that an agent runs: what they said, and what they may take."""

import pytest

from renova.agent.programs import MEMORY, run
from renova.errors import DiskFull, RenovaError


async def test_a_failure_is_told_in_the_programs_own_words() -> None:
    with pytest.raises(RenovaError, match="cat /nowhere failed: cat: /nowhere: No such file or directory"):
        await run("cat", "/nowhere")
    with pytest.raises(DiskFull):
        await run("dd", "if=/dev/zero", "of=/dev/full", "count=1")
    with pytest.raises(RenovaError, match="the program no-such-program is missing"):
        await run("no-such-program")


async def test_a_program_that_takes_too_much_is_ended() -> None:
    """What qemu-img would be, had an image been made to keep it busy."""
    with pytest.raises(RenovaError, match="head: memory exhausted"):
        await run("head", f"--bytes=-{2 * MEMORY}", "/dev/zero")
    with pytest.raises(RenovaError, match="sh took more than 1 seconds of a processor"):
        await run("sh", "-c", "while :; do :; done", cpu=1)
