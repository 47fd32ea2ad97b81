"""A tap: the host's end of a guest's network card, for QEMU to inherit.

It exists as long as a process has it open, so it goes with its QEMU, whatever happens to the agent. Sources:
the kernel's Documentation/networking/tuntap.rst; linux/if_tun.h, linux/sockios.h, linux/if.h.
"""

import fcntl
import os
import socket
import struct

from renova.errors import RenovaError

_TUNSETIFF = 0x400454CA
_TAP, _NO_PACKET_INFO, _OFFLOAD_HEADER, _NEW_ONLY = 0x0002, 0x1000, 0x4000, 0x8000
_ADD_TO_BRIDGE, _GET_FLAGS, _SET_FLAGS = 0x89A2, 0x8913, 0x8914
_UP = 0x1


def open_tap(name: str, bridge: str) -> int:
    """The descriptor of a new tap, up and in the bridge. Needs CAP_NET_ADMIN, which its user then does not.

    Raises RenovaError, with nothing left, where one of this name is open or there is no such bridge.
    """
    try:
        tap = os.open("/dev/net/tun", os.O_RDWR)
        try:
            flags = _TAP | _NO_PACKET_INFO | _OFFLOAD_HEADER | _NEW_ONLY
            fcntl.ioctl(tap, _TUNSETIFF, _request(name, "H", flags))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as kernel:
                index = socket.if_nametoindex(name)
                fcntl.ioctl(kernel, _ADD_TO_BRIDGE, _request(bridge, "i", index))
                (now,) = struct.unpack_from("16xH", fcntl.ioctl(kernel, _GET_FLAGS, _request(name, "H", 0)))
                fcntl.ioctl(kernel, _SET_FLAGS, _request(name, "H", now | _UP))
        except BaseException:
            os.close(tap)
            raise
    except OSError as error:
        raise RenovaError(f"The tap {name} on {bridge} can't be made: {error.strerror}") from error
    return tap


def _request(name: str, kind: str, value: int) -> bytes:
    """A struct ifreq: the name of a link, and one value of it."""
    return struct.pack(f"16s{kind}", name.encode(), value).ljust(40, b"\0")
