"""A WSGI or ASGI application under granian, as a program of its own."""

import os
from collections.abc import Callable
from typing import Any

from granian.constants import Interfaces
from granian.server import MTServer

# Seconds in which requests that are under way may end, once the program is to stop.
GRACE = 10


def serve(
    title: str,
    load: Callable[[], Any],
    interface: Interfaces,
    port: int,
    address: str = "127.0.0.1",
    blocking_threads: int | None = None,
) -> None:
    """Serve what `load` makes until SIGTERM, in this process. A worker that dies ends the program.

    `title` is what ps shows. One process: each costs 60 to 100 MB, and the services of one machine wait for
    PostgreSQL far more than they compute. An API that needs more is started more often, behind a balancer.
    """
    server = _Server(
        title,
        address=address,
        port=port,
        interface=interface,
        blocking_threads=blocking_threads,
        websockets=interface is Interfaces.ASGI,
        workers_kill_timeout=GRACE,
        process_name=title,
    )
    server.serve(target_loader=load, wrap_loader=False)
    # A request that took longer than its grace has a thread, for which Python would wait.
    os._exit(0)


class _Server(MTServer):
    """granian with its worker as a thread of this process.

    Where Python lets one thread run at a time, granian by itself starts a process for each worker, and waits
    beside them. With one worker that is 15 MiB for nothing, and a process that a kill -9 may leave behind.
    """

    def _check_gil(self) -> None:
        """Not asked for: the worker is the same, whatever it runs in."""
