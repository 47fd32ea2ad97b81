"""A WSGI or ASGI application under granian, as a program of its own."""

import ctypes
import os
import signal
from collections.abc import Callable
from typing import Any

from granian import Granian
from granian.constants import Interfaces

PR_SET_PDEATHSIG = 1


def serve(
    title: str,
    load: Callable[[], Any],
    interface: Interfaces,
    port: int,
    address: str = "127.0.0.1",
    blocking_threads: int | None = None,
) -> None:
    """Serve what `load` makes until SIGTERM, in one worker process. A worker that dies ends the program.

    `title` is what ps shows. One worker: each costs 60 to 100 MB, and the services of one machine wait for
    PostgreSQL far more than they compute. An API that needs more is started more often, behind a balancer.
    """
    server = Granian(
        title,
        address=address,
        port=port,
        interface=interface,
        blocking_threads=blocking_threads,
        websockets=interface is Interfaces.ASGI,
        workers_kill_timeout=10,
        process_name=title,
    )
    server.serve(target_loader=_Loader(load), wrap_loader=False)


class _Loader:
    """Called in the worker: ties its life to granian's main process, or a kill -9 would leave it there."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self.load, self.parent = load, os.getpid()

    def __call__(self) -> Any:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self.parent:
            raise SystemExit("granian's main process is gone already")
        return self.load()
