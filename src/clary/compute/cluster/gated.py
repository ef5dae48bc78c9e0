"""Addresses of replicas on other machines, and how those of this one become such.

`node:10.0.0.2:41234/<pin>.<secret>/<run>/<host>/replica.sock` names the gate of a node (`gate.py`), the
digest of its certificate, and what it wants to hear. Names beside `replica.sock` lead to other processes of
the same replica, `http` to a real image. An address holds as long as its gate.
"""

import socket
from dataclasses import dataclass, replace
from pathlib import Path

SCHEME = "node:"
CONTAINER = "http"
"""Name of a replica that is a real image, and speaks HTTP."""
PULSE = "pulse"
"""Name by which an edge asks a gate for nothing but to hear it."""
PREFIX, REACHED = "gate", "reached"
"""Files in a host's folder: what its addresses begin with elsewhere, and where it answers on this machine."""
OPEN = b"ok\n"
"""What a gate says before the replica's own bytes."""
SILENCE_S = 1.0
"""A machine that acknowledges nothing for so long is gone, whatever it was doing."""


@dataclass(frozen=True, slots=True)
class Gated:
    """A replica behind a gate."""

    host: str
    port: int
    pin: str
    """SHA-256 of the gate's certificate, in hexadecimal."""
    greeting: bytes

    @classmethod
    def parse(cls, address: str) -> "Gated":
        """Read an address that begins with `SCHEME`."""
        where, keys, run, host, name = address.removeprefix(SCHEME).split("/")
        node, _, port = where.rpartition(":")
        pin, _, secret = keys.partition(".")
        return cls(node, int(port), pin, f"{secret} {run} {host} {name}\n".encode())

    @property
    def pulse(self) -> "Gated":
        """The way to the gate alone, with the same secret."""
        secret, run, host, _ = self.greeting.split(b" ")
        return replace(self, greeting=b" ".join((secret, run, host, PULSE.encode() + b"\n")))


def told_as(home: Path, address: str) -> str:
    """Return a replica's address as others shall know it: that of the gate, where one leads to this host."""
    try:
        prefix = (home / PREFIX).read_text()
    except OSError:
        return address
    (home / REACHED).write_text(address)
    return f"{prefix}/{CONTAINER if address.startswith('http://') else Path(address).name}"


def watch(connection: socket.socket, silence_s: float = SILENCE_S) -> None:
    """Have the kernel end a connection whose other machine is silent, or takes nothing, for so long."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_NODELAY", 1),
        ("TCP_KEEPIDLE", 1),
        ("TCP_KEEPINTVL", 1),
        ("TCP_KEEPCNT", 1),
        ("TCP_USER_TIMEOUT", int(1000 * silence_s)),
    ):
        if hasattr(socket, option):  # not every system has all
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
