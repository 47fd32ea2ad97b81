"""Programs that take part in building a guest: run to their end, their failure told in one line."""

import os
import re
import subprocess
from pathlib import Path

from renova.errors import RenovaError


class GuestError(RenovaError):
    """The guest image could not be built."""


def run(*command: str | Path, cwd: Path | None = None, library_path: Path | None = None) -> str:
    """Run a program and return what it wrote to its standard output.

    Raises GuestError with the program that is missing, or with what the program complained of.
    """
    name = Path(command[0]).name
    # mke2fs is in /usr/sbin, where an ordinary user of Debian does not look for programs.
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    environment = {**os.environ, "LC_ALL": "C", "PATH": path}
    if library_path:
        environment["LD_LIBRARY_PATH"] = str(library_path)
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        raise GuestError(f"{name} is needed to build a guest image, and is not installed") from None
    if done.returncode:
        # apt writes warnings after its first error; the other programs end with their error.
        error = re.search(r"^E: (.*)", done.stderr, re.MULTILINE)
        reason = error[1] if error else done.stderr.strip().rpartition("\n")[2]
        raise GuestError(f"{name} failed (status {done.returncode}): {reason}")
    return done.stdout
