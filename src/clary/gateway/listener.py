"""The public port's listening socket: an edge's own, or one that a parent keeps open."""

import contextlib
import os
import socket

INHERITED = "CLARY_LISTEN_FD"
"""Variable that names the descriptor of a parent's listening socket."""
BACKLOG = 1024


def listen(host: str, port: int) -> socket.socket:
    """Return a socket listening on the public port, which other edges may share.

    A listening socket of a parent process is used instead when CLARY_LISTEN_FD names one: what queues on it
    survives the death of an edge.

    Raises
    ------
    OSError
        The port cannot be had.
    """
    inherited = os.environ.get(INHERITED, "")
    if inherited:
        listener = socket.socket(fileno=int(inherited))
        listener.setblocking(False)
        return listener
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(AttributeError):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listener.setblocking(False)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
