"""Asking a replica from a thread: one connection, one question."""

import contextlib
import socket
import time
from collections.abc import Mapping
from typing import Any

from clary.serving.frames import Decoder, Frame, pack

CHUNK_BYTES = 1 << 18


def ask(address: str, header: Mapping[str, Any], body: bytes, *, timeout_s: float) -> Frame:
    """Return a replica's answer.

    Raises
    ------
    TimeoutError
        It did not come in time.
    OSError
        Nobody listens, or the replica went away.
    FrameError
        Question or answer do not fit a frame.
    """
    question = pack(1, header, body)
    deadline = time.monotonic() + timeout_s
    decoder = Decoder()
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as line:
        line.settimeout(timeout_s)
        line.connect(address)
        line.sendall(question)
        while True:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"no answer within {timeout_s:.0f} s")
            line.settimeout(left_s)
            chunk = line.recv(CHUNK_BYTES)
            if not chunk:
                raise ConnectionResetError("the replica hung up")
            for frame in decoder.feed(chunk):
                return frame
