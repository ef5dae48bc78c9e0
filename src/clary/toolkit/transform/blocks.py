"""Payloads between two processes that share memory: an agent that reads, a program in a sandbox that scores.

    agent ──slot, length──▶ program        one line of JSON each way; the bytes lie in the slots
          ◀─slot, status, length──

The agent makes the memory and hands its descriptor over with the first line, so that the sandbox needs no
file of it. An answer that does not fit its slot follows its line on the socket.
"""

from __future__ import annotations

import array
import contextlib
import json
import mmap
import os
import socket
import tempfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_LINE_BYTES = 1 << 16


class Slots:
    """Equal stretches of shared memory."""

    def __init__(self, descriptor: int, n_slots: int, slot_bytes: int) -> None:
        self.n_slots = n_slots
        self.slot_bytes = slot_bytes
        self._map = mmap.mmap(descriptor, n_slots * slot_bytes)
        self._view = memoryview(self._map)

    @classmethod
    def make(cls, n_slots: int, slot_bytes: int) -> tuple[Slots, int]:
        """Return new slots, and the descriptor to hand over; the caller closes it."""
        slot_bytes = -(-slot_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("clary-blocks", os.MFD_CLOEXEC)
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        try:
            os.ftruncate(descriptor, n_slots * slot_bytes)
            return cls(descriptor, n_slots, slot_bytes), descriptor
        except BaseException:
            os.close(descriptor)
            raise

    def part(self, slot: int, length: int) -> memoryview:
        """Return the first `length` bytes of a slot, in place."""
        start = slot * self.slot_bytes
        return self._view[start : start + length]

    def write(self, slot: int, content: bytes) -> None:
        """Fill the beginning of a slot."""
        self.part(slot, len(content))[:] = content

    def close(self) -> None:
        """Let go of the memory; views that are still held keep it."""
        with contextlib.suppress(BufferError):
            self._view.release()
            self._map.close()


class Line:
    """One end of the socket: lines of JSON, a descriptor with the first."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._file = connection.makefile("rb", buffering=_LINE_BYTES)

    def introduce(self, descriptor: int, header: Mapping[str, Any]) -> None:
        """Send the first line, and the memory's descriptor with it."""
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        self._socket.sendmsg([_packed(header)], ancillary)

    def be_introduced(self) -> tuple[int, dict[str, Any]]:
        """Take the first line and the descriptor that came with it.

        Raises
        ------
        EOFError
            Nobody is there any more.
        """
        numbers = array.array("i")
        text, ancillary, _, _ = self._socket.recvmsg(_LINE_BYTES, socket.CMSG_LEN(numbers.itemsize))
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers.frombytes(content[: numbers.itemsize])
        if not text or not numbers:
            raise EOFError("no memory was handed over")
        while not text.endswith(b"\n"):
            more = self._socket.recv(_LINE_BYTES)
            if not more:
                raise EOFError("the first line was cut off")
            text += more
        return numbers[0], json.loads(text)

    def send(self, header: Mapping[str, Any], body: bytes = b"") -> None:
        """Send a line, and bytes that follow it."""
        self._socket.sendall(_packed(header) + body)

    def receive(self) -> dict[str, Any]:
        """Return the next line.

        Raises
        ------
        EOFError
            The other end is gone.
        """
        text = self._file.readline()
        if not text.endswith(b"\n"):
            raise EOFError("the other end is gone")
        header: dict[str, Any] = json.loads(text)
        return header

    def read(self, length: int) -> bytes:
        """Return the bytes that follow a line.

        Raises
        ------
        EOFError
            The other end is gone.
        """
        body: bytes = self._file.read(length)
        if len(body) < length:
            raise EOFError("the other end is gone")
        return body

    def close(self) -> None:
        """End the connection, from any thread."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._socket.close()


def _packed(header: Mapping[str, Any]) -> bytes:
    return json.dumps(header, separators=(",", ":")).encode() + b"\n"
