"""Clary's address on this machine's loopback, opened on the loopback of a container.

container's 127.0.0.1:4747 ──listens there──▶ thread of the agent ──connects here──▶ 127.0.0.1:4747

So what Clary says of itself (endpoint, credentials) holds inside as it does outside, and nothing of this
machine listens where others could reach it. No other address is opened, whatever a job's environment names.
"""

import contextlib
import ipaddress
import os
import socket
import threading
from collections.abc import Iterable
from urllib.parse import urlsplit

from clary.compute import linux

CHUNK_BYTES = 1 << 18
_PORTS = {"http": 80, "https": 443}

Address = tuple[str, int]


def wanted(url: str) -> list[Address]:
    """Return what to open for a container to reach Clary at `url`; nothing where that is no loopback."""
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in _PORTS or not _is_loopback(parts.hostname):
        return []
    return [(parts.hostname, parts.port or _PORTS[parts.scheme])]


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def can_open() -> bool:
    """Return whether this process may enter the network of containers."""
    return linux.IS_LINUX and os.geteuid() == 0 and linux.has_capability(_CAP_SYS_ADMIN)


_CAP_SYS_ADMIN = 21


class Doors:
    """Doors of one container, from its start to its end."""

    def __init__(self) -> None:
        self._listening: list[socket.socket] = []

    def open(self, pid: int, addresses: Iterable[Address]) -> None:
        """Listen inside the network of process `pid`.

        Raises
        ------
        OSError
            It is gone, or an address is taken there.
        """
        failed: list[OSError] = []

        def enter() -> None:
            try:
                descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
                try:
                    linux.setns(descriptor, linux.CLONE_NEWNET)  # of this thread alone, which ends with it
                finally:
                    os.close(descriptor)
                for host, port in addresses:
                    self._listening.append(socket.create_server((host, port), backlog=128))
            except OSError as error:
                failed.append(error)

        thread = threading.Thread(target=enter, name="doors")
        thread.start()
        thread.join()
        if failed:
            self.close()
            raise failed[0]
        for each, address in zip(self._listening, addresses, strict=True):
            threading.Thread(target=_attend, args=(each, address), name="door", daemon=True).start()

    def close(self) -> None:
        """Listen no more; what is under way ends with the container."""
        for each in self._listening:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for the next one
            each.close()
        self._listening.clear()


def _attend(door: socket.socket, address: Address) -> None:
    while True:
        try:
            inside, _ = door.accept()
        except OSError:
            return
        threading.Thread(target=_join, args=(inside, address), name="door-line", daemon=True).start()


def _join(inside: socket.socket, address: Address) -> None:
    """Carry bytes both ways until both sides have ended."""
    with inside:
        try:
            outside = socket.create_connection(address, timeout=10.0)
        except OSError:
            return
        with outside:
            outside.settimeout(None)
            for each in (inside, outside):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=_carry, args=(outside, inside), name="door-back", daemon=True)
            back.start()
            _carry(inside, outside)
            back.join()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(CHUNK_BYTES):
            target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
