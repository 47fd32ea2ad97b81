"""Renova: the Compute API over QEMU, with a rebuild that never loses a server."""

__version__ = "0.1.0"
