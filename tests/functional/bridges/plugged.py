"""What a guest can do to its network, without a guest: a network namespace on a bridge in place of a tap."""

import concurrent.futures
import ctypes
import json
import os
import socket
import struct
import subprocess
from collections.abc import Callable
from functools import partial
from typing import Any, Self, TypeVar
from uuid import uuid4

from renova.agent.qemu import NetworkCard

T = TypeVar("T")
_CLONE_NEWNET = 0x40000000
# Seconds after which what a firewall drops counts as dropped. What it lets pass takes a millisecond.
DROPPED = 1.5


def ip(*command: str) -> str:
    return subprocess.run(["ip", *command], check=True, capture_output=True, text=True).stdout


class Namespace:
    """An empty network namespace. Leaving the context removes it with its links."""

    def __init__(self) -> None:
        self.name = f"rnvtest-{uuid4().hex[:8]}"

    def __enter__(self) -> Self:
        ip("netns", "add", self.name)
        self.ip("link", "set", "lo", "up")
        return self

    def __exit__(self, *_: object) -> None:
        ip("netns", "delete", self.name)

    def ip(self, *command: str) -> str:
        return ip("-netns", self.name, *command)

    def run(self, deed: Callable[[], T]) -> T:
        """Do something in the namespace. A socket that was made there stays there."""

        def inside() -> T:
            place = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(place, _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            finally:
                os.close(place)
            return deed()

        with concurrent.futures.ThreadPoolExecutor(1) as thread:  # The namespace is the thread's.
            return thread.submit(inside).result()

    def open(self, kind: int = socket.SOCK_STREAM) -> socket.socket:
        made = self.run(partial(socket.socket, socket.AF_INET, kind))
        made.settimeout(DROPPED)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return made

    def listen(self, address: str, port: int) -> socket.socket:
        listening = self.open()
        listening.bind((address, port))
        listening.listen()
        return listening

    def reaches(self, address: str, port: int, source: str = "") -> bool:
        with self.open() as connection:
            connection.bind((source, 0))
            try:
                connection.connect((address, port))
            except OSError:
                return False
        return True

    def neighbours(self) -> dict[str, str]:
        """The MAC of each address, as this namespace believes."""
        known: list[dict[str, Any]] = json.loads(self.ip("-json", "neigh"))
        return {entry["dst"]: entry["lladdr"] for entry in known if "lladdr" in entry}


class Plugged(Namespace):
    """In the place of a guest with one card, whose network is set up as its config drive says."""

    def __init__(self, card: NetworkCard) -> None:
        super().__init__()
        assert card.tap
        assert card.bridge
        self.tap, self.bridge, self.card = card.tap, card.bridge, card

    def __enter__(self) -> Self:
        super().__enter__()
        peer = ("peer", "name", "eth0", "address", self.card.mac, "netns", self.name)
        ip("link", "add", self.tap, "type", "veth", *peer)
        ip("link", "set", self.tap, "master", self.bridge, "up")
        self.ip("link", "set", "eth0", "up")
        self.add_address(self.card.address)
        self.ip("route", "add", "default", "via", self.card.gateway)
        return self

    def __exit__(self, *_: object) -> None:
        ip("link", "delete", self.tap)  # A namespace's links go with it, but some time later.
        super().__exit__()

    def add_address(self, address: str) -> None:
        self.ip("address", "add", f"{address}/{self.card.cidr.partition('/')[2]}", "dev", "eth0")

    def say_arp(self, address: str, mac: str, to: NetworkCard) -> None:
        """Tell another guest that `address` is at `mac`."""

        def octets(text: str) -> bytes:
            return bytes.fromhex(text.replace(":", ""))

        frame = (
            octets(to.mac) + octets(self.card.mac) + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2)
        )
        frame += octets(mac) + socket.inet_aton(address) + octets(to.mac) + socket.inet_aton(to.address)
        with self.run(partial(socket.socket, socket.AF_PACKET, socket.SOCK_RAW)) as raw:
            raw.bind(("eth0", 0))
            raw.send(frame)

    def lease(self) -> dict[int, bytes] | None:
        """The options of what DHCP gives, with the address as option 50; None where there is no answer."""
        with self.open(socket.SOCK_DGRAM) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
            client.bind(("", 68))
            options: dict[int, bytes] = {}
            for kind in (1, 3):  # Discover, then request what was offered.
                client.sendto(self._dhcp(kind, options), ("255.255.255.255", 67))
                try:
                    answer = client.recv(2048)
                except TimeoutError:
                    return None
                options = _options(answer[240:]) | {50: answer[16:20]}
            return options

    def _dhcp(self, kind: int, offered: dict[int, bytes]) -> bytes:
        mac = bytes.fromhex(self.card.mac.replace(":", ""))
        header = struct.pack("!BBBBIHH16x16s192xI", 1, 1, 6, 0, 7, 0, 0x8000, mac, 0x63825363)
        wanted = b"".join(bytes([n, 4]) + offered[n] for n in (50, 54) if n in offered)
        return header + bytes([53, 1, kind]) + wanted + bytes([55, 4, 1, 3, 6, 121, 255])


def _options(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while data and data[0] != 255:
        if data[0] == 0:
            data = data[1:]
            continue
        found[data[0]], data = data[2 : 2 + data[1]], data[2 + data[1] :]
    return found
