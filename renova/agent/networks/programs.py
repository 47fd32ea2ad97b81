"""Programs that change this host's kernel: ip and nft."""

import subprocess

from renova.agent.files import in_thread
from renova.errors import RenovaError


async def run(*command: str, text: str = "") -> str:
    """What a program wrote, given `text` to read; carried to its end also when the caller is cancelled.

    Raises RenovaError with the first line of its complaint.
    """
    return await in_thread(run_now, *command, text=text)


def run_now(*command: str, text: str = "") -> str:
    """As `run`, for whoever has no event loop."""
    try:
        done = subprocess.run(command, input=text, capture_output=True, check=False, text=True)
    except OSError as error:
        raise RenovaError(f"{command[0]} can't be started: {error.strerror}") from error
    if done.returncode:
        reason = done.stderr.strip().partition("\n")[0]
        raise RenovaError(f"{' '.join(command[:3])} failed: {reason}")
    return done.stdout
