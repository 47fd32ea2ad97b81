"""What Keystone and Glance need said before any of their modules is imported."""

import sys

from oslo_service.backend import BackendType, init_backend


def prepare(program: str) -> None:
    """Threads, not eventlet, which they take where nothing is said; and no command line for them to read."""
    sys.argv = [program]
    init_backend(BackendType.THREADING)
