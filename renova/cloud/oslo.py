"""What Keystone and Glance need said before any of their modules is imported."""

import sys

from oslo_service.backend import BackendType, init_backend


def prepare(program: str) -> None:
    """Threads, not eventlet, which they take where nothing is said; and no command line for them to read."""
    sys.argv = [program]
    # futurist loads it wherever it is installed, and with it 13 MiB that nobody uses: to import it fails now.
    sys.modules["eventlet"] = None  # type: ignore[assignment]
    init_backend(BackendType.THREADING)
