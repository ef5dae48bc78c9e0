"""How the hosts of one training find each other: the first of them listens, the others call.

    algo-2 ──hello, job, algo-2──▶ algo-1: takes the lines of its own job's hosts
           ◀──────welcome─────────

Jobs of one machine may share its network, with one another and with whatever else runs there. The ports that
come into question follow from the job's name; a port that somebody else has is passed over by both sides.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import time
import zlib
from typing import TYPE_CHECKING

from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from collections.abc import Sequence

MEETING_S = 900.0
"""How long a host waits for another, which may still be reading.
Source: open `sagemaker-xgboost-container`, distributed.py."""
_RETRY_S = 0.05
_HELLO_S, _WELCOME_S = 5.0, 10.0
_HELLO = b"clary\n"
_LONGEST_HELLO = 1024
_FIRST_PORT, _N_PORTS = 9099, 20_000  # below what systems give to callers
_N_TRIES, _STEP = 16, 997


def ports(job: str) -> list[int]:
    """Return the ports at which the hosts of a job may meet, in the order in which they are tried."""
    start = zlib.crc32(job.encode())
    return [_FIRST_PORT + (start + _STEP * turn) % _N_PORTS for turn in range(_N_TRIES)]


def meet(names: Sequence[str], rank: int, job: str, stack: contextlib.ExitStack) -> list[socket.socket]:
    """Return a line to every other host, in the order of names; to the first alone on any host but it.

    Parameters
    ----------
    names : sequence of str
        All hosts, the first of them in the middle.
    stack : ExitStack
        What closes the lines.

    Raises
    ------
    CustomerError
        A host did not come in time, or none of the job's ports is free.
    """
    deadline = time.monotonic() + MEETING_S
    address = address_of(names[0], deadline)
    if rank:
        return [stack.enter_context(_call(address, names[rank], job, deadline))]
    with _door(address, job) as door:
        return _received(door, names[1:], job, deadline, stack)


def address_of(host: str, deadline: float) -> str:
    """Return the address of a host, whose name may be made known a moment later.

    Raises
    ------
    CustomerError
        The name did not resolve before `deadline`.
    """
    while True:
        try:
            return socket.gethostbyname(host)
        except OSError as error:
            if time.monotonic() > deadline:
                raise CustomerError(f"The name of host {host} does not resolve: {error}") from error
            time.sleep(_RETRY_S)


def _door(address: str, job: str) -> socket.socket:
    for port in ports(job):
        try:
            return socket.create_server((address, port), reuse_port=False)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise CustomerError(
                    f"The first host cannot listen for the others at {address}: {error}"
                ) from error
    raise CustomerError(f"The hosts cannot meet: ports {ports(job)} of {address} are all taken")


def _received(
    door: socket.socket, awaited: Sequence[str], job: str, deadline: float, stack: contextlib.ExitStack
) -> list[socket.socket]:
    found: dict[str, socket.socket] = {}
    while len(found) < len(awaited):
        door.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            line = stack.enter_context(door.accept()[0])
        except TimeoutError as error:
            missing = ", ".join(name for name in awaited if name not in found)
            raise CustomerError(f"Hosts {missing} did not report within {MEETING_S:.0f} s") from error
        name = _greeted(line, job)
        if name in awaited:
            found[name] = line  # one that calls anew has given up its first line
        else:
            line.close()
    return [found[name] for name in awaited]


def _greeted(line: socket.socket, job: str) -> str:
    """Return the name of who calls; empty if it is none of the job's hosts."""
    received = b""
    line.settimeout(_HELLO_S)
    try:
        while received.count(b"\n") < 3 and len(received) < _LONGEST_HELLO:
            chunk = line.recv(1)
            if not chunk:
                return ""
            received += chunk
        if not received.startswith(_HELLO + job.encode() + b"\n"):
            return ""
        line.sendall(_HELLO)
    except OSError:
        return ""
    _ready(line)
    return received.split(b"\n")[2].decode("utf-8", "replace")


def _call(address: str, name: str, job: str, deadline: float) -> socket.socket:
    while True:
        for port in ports(job):
            try:
                line = socket.create_connection((address, port), timeout=_WELCOME_S)
            except OSError:
                continue
            with contextlib.suppress(OSError):
                line.sendall(_HELLO + f"{job}\n{name}\n".encode())
                if line.recv(len(_HELLO), socket.MSG_WAITALL) == _HELLO:
                    _ready(line)
                    return line
            line.close()
        if time.monotonic() > deadline:
            raise CustomerError(f"This host did not meet the others at {address}, ports {ports(job)}")
        time.sleep(_RETRY_S)


def _ready(line: socket.socket) -> None:
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.settimeout(MEETING_S)
