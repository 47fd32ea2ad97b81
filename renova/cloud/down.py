"""`renova down`: end a running `renova up` with all that it started, and the virtual machines that stay."""

import os
import shutil
import signal
import time
from contextlib import suppress

from renova.agent.networks.names import Names
from renova.agent.networks.removal import remove
from renova.cloud import orphans
from renova.cloud.errors import CloudError
from renova.cloud.state import State

PATIENCE = 120.0


def down(state: State) -> int:
    """How many virtual machines were ended.

    Raises CloudError if there is no cloud at `state`, or one that does not stop, and RenovaError where the
    kernel keeps what the guests' networks were made of.
    """
    if not state.conf.exists():
        raise CloudError(f"{state.path} holds no cloud of `renova up`")
    deadline = time.monotonic() + PATIENCE
    asked = False
    while True:
        try:
            with state.lock():
                orphans.end_services(state)
                machines = orphans.virtual_machines(state)
                orphans.end(machines, signal.SIGTERM)
                if os.geteuid() == 0:
                    remove(Names.of(state.run_path))
                shutil.rmtree(state.run_path, ignore_errors=True)
                return len(machines)
        except CloudError:
            if time.monotonic() > deadline:
                raise CloudError(
                    f"`renova up` on {state.path} does not stop within {PATIENCE:.0f} s"
                ) from None
        if not asked:
            # Whoever holds the lock has written its process id right after taking it.
            with suppress(OSError, ValueError):
                os.kill(int(state.pid_file("up").read_text()), signal.SIGTERM)
                asked = True
        time.sleep(0.1)
