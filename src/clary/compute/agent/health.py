"""Asking a replica whether it is well: one connection, one frame each way.

    u32 total_length │ u32 request_id │ u16 header_length │ header, JSON │ body, little-endian

The frames are those of `clary.serving.frames`, on a higher floor; this is the one frame that an agent says.
"""

import contextlib
import json
import socket
from struct import Struct

from clary.compute import invocations

_PREFIX = Struct("<IIH")
_HEADER = b'{"ping":true}'
_PING = _PREFIX.pack(_PREFIX.size + len(_HEADER), 1, len(_HEADER)) + _HEADER


def ping(address: str, timeout_s: float) -> str:
    """Return nothing where the replica is well, else what is wrong; `OSError` where nobody listens yet.

    A replica at `http://host:port` is a container, and asked `GET /ping`.
    """
    if address.startswith("http://"):
        return invocations.is_well(address, timeout_s)
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
        connection.settimeout(timeout_s)
        connection.connect(address)
        connection.sendall(_PING)
        prefix = _exactly(connection, _PREFIX.size)
        total, _, length = _PREFIX.unpack(prefix)
        rest = _exactly(connection, total - _PREFIX.size)
    status = int(json.loads(rest[:length]).get("status", 500))
    return (
        ""
        if status == 200
        else f"the health check answered {status}: {rest[length:][:200].decode(errors='replace')}"
    )


def _exactly(connection: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        piece = connection.recv(length - len(found))
        if not piece:
            raise ConnectionResetError("the replica hung up")
        found += piece
    return found
