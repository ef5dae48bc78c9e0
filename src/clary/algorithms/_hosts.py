"""Hosts that train one model: sums and exchanges over TCP, with the first host in the middle.

    algo-2 ──bytes──▶ algo-1: puts all in the order of hosts, answers with all
           ◀─────────

What is exchanged is small (moments, centres, gradients), so that a star is enough. A host that fails says so
instead of what it was to send, and all end with its reason.
"""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms._meeting import meet
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from clary.algorithms.base import Training

_HEAD = struct.Struct("<BQ")
_DATA, _FAULT = 0, 1
_MOST = 1 << 36


class Hosts:
    """All hosts of a training, as one of them sees the others; alone, it has nobody to ask.

    Promises
    --------
    - Every host calls the same methods in the same order.
    - All hosts get the same bytes; sums are taken in the order of hosts, so that they are the same.
    """

    def __init__(self, rank: int, lines: Sequence[socket.socket], n_hosts: int) -> None:
        self.rank = rank
        self.n_hosts = n_hosts
        self._lines = lines

    @property
    def is_first(self) -> bool:
        """Whether this host leads."""
        return self.rank == 0

    def gather(self, own: bytes) -> list[bytes]:
        """Return what every host gave, in the order of hosts.

        Raises
        ------
        CustomerError
            A host failed, or went away.
        """
        if self.n_hosts == 1:
            return [own]
        if self.rank:
            _send(self._lines[0], _DATA, own)
            return _split(_receive(self._lines[0]))
        parts = [own, *(_receive(line) for line in self._lines)]
        answer = b"".join(struct.pack("<Q", len(part)) + part for part in parts)
        for line in self._lines:
            _send(line, _DATA, answer)
        return parts

    def sum(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the sum of every host's array; all have one shape and type."""
        if self.n_hosts == 1:
            return values
        values = np.ascontiguousarray(values)
        if self.rank:
            _send(self._lines[0], _DATA, values.tobytes())
            total = _receive(self._lines[0])
            return np.frombuffer(total, values.dtype).reshape(values.shape).copy()
        result = values.copy()
        for line in self._lines:
            part = _receive(line)
            if len(part) != values.nbytes:
                raise CustomerError("Hosts disagree about the size of what they sum")
            result += np.frombuffer(part, values.dtype).reshape(values.shape)
        content = result.tobytes()
        for line in self._lines:
            _send(line, _DATA, content)
        return result

    def arrays(self, values: NDArray[Any]) -> list[NDArray[Any]]:
        """Return every host's array; they may differ in their number of rows."""
        if self.n_hosts == 1:
            return [values]
        shape = (-1, *values.shape[1:])
        parts = self.gather(np.ascontiguousarray(values).tobytes())
        return [np.frombuffer(part, values.dtype).reshape(shape) for part in parts]

    def fail(self, reason: str) -> None:
        """Tell the others why this host ends."""
        for line in self._lines:
            with contextlib.suppress(CustomerError):  # it may be the one that failed
                _send(line, _FAULT, reason.encode())


@contextlib.contextmanager
def joined(training: Training) -> Iterator[Hosts]:
    """Meet the other hosts; what goes wrong inside ends all of them with one reason.

    Raises
    ------
    CustomerError
        The hosts did not find each other, or one of them failed.
    """
    names = tuple(sorted(training.hosts, key=_order))
    if len(names) == 1:
        yield Hosts(0, (), 1)
        return
    rank = names.index(training.host)
    with contextlib.ExitStack() as stack:
        lines = meet(names, rank, training.name, stack)
        hosts = Hosts(rank, lines, len(names))
        try:
            yield hosts
        except CustomerError as error:
            reason = str(error)
            hosts.fail(reason if "(on host " in reason else f"{reason} (on host {training.host})")
            raise
        except Exception as error:
            hosts.fail(f"{type(error).__name__}: {error} (on host {training.host})")
            raise


def _order(host: str) -> tuple[str, int]:
    """Return `algo-10` behind `algo-9`."""
    stem, _, number = host.rpartition("-")
    return (stem, int(number)) if number.isdigit() else (host, 0)


def _send(line: socket.socket, kind: int, content: bytes) -> None:
    try:
        line.sendall(_HEAD.pack(kind, len(content)))
        line.sendall(content)
    except OSError as error:
        raise CustomerError(f"Lost another host: {error}") from error


def _receive(line: socket.socket) -> bytes:
    try:
        kind, length = _HEAD.unpack(_exactly(line, _HEAD.size))
        if kind not in {_DATA, _FAULT} or length > _MOST:
            raise CustomerError("Lost another host: it does not speak as hosts do")
        content = _exactly(line, length)
    except OSError as error:
        raise CustomerError(f"Lost another host: {error}") from error
    if kind == _FAULT:
        raise CustomerError(content.decode("utf-8", "replace"))
    return bytes(content)


def _exactly(line: socket.socket, length: int) -> bytearray:
    content = bytearray(length)
    view = memoryview(content)
    while view:
        count = line.recv_into(view, min(len(view), 1 << 20))
        if not count:
            raise ConnectionError("it closed the connection")
        view = view[count:]
    return content


def _split(content: bytes) -> list[bytes]:
    parts, at = [], 0
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        parts.append(content[at + 8 : at + 8 + length])
        at += 8 + length
    return parts
