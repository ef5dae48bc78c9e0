"""Protobuf records whose members come in one order, read at once: a step of the parser takes them all."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAGIC, LONGEST = 0xCED7230A, (1 << 29) - 1
_HEAD = Struct("<II")
_VALUES = np.frombuffer(b"values", np.uint8)
_RECORD, _PAIR, _VALUE, _TENSOR = range(4)


class UnalignedError(Exception):
    """The records differ in more than numbers and lengths, or are none."""


class Aligned:
    """Where the members of all records are."""

    def __init__(self, body: bytes | memoryview) -> None:
        """Find them.

        Raises
        ------
        UnalignedError
            Somewhere the records do not go on alike.
        """
        self._content = np.frombuffer(body, np.uint8)
        starts, lengths, at = [], [], 0
        while at + _HEAD.size <= len(body):
            magic, length = _HEAD.unpack_from(body, at)
            if magic != MAGIC or length > LONGEST:
                raise UnalignedError
            starts.append(at + _HEAD.size)
            lengths.append(length)
            at += _HEAD.size + length + (-length % 4)
        if at != len(body) or not starts:
            raise UnalignedError
        self.n_rows = len(starts)
        self._side = 0
        self._found: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        first = np.array(starts, np.int64)
        self._walk(first, first + np.array(lengths, np.int64), _RECORD)

    def _walk(self, at: Any, end: Any, level: int) -> None:
        """Read the members between two places of every record."""
        while True:
            is_over = at >= end
            if is_over.any():
                if not is_over.all() or (at != end).any():
                    raise UnalignedError
                return
            tag = int(self._content[at[0]])
            if tag & 0x87 != 2 or (self._content[at] != tag).any():
                raise UnalignedError
            size, at = self._varint(at + 1, end)
            after = at + size
            if (after > end).any():
                raise UnalignedError
            self._member(tag >> 3, at, after, level)
            at = after

    def _member(self, name: int, at: Any, after: Any, level: int) -> None:
        if level == _RECORD and name in {1, 2}:
            self._side = name
            self._walk(at, after, _PAIR)
        elif level == _PAIR and name == 1:
            if (after - at != _VALUES.size).any():
                raise UnalignedError
            if (self._content[at[:, None] + np.arange(_VALUES.size)] != _VALUES).any():
                raise UnalignedError
        elif level in {_PAIR, _VALUE} and name == 2:
            self._walk(at, after, level + 1)
        elif level == _TENSOR and name in {1, 2, 3} and (self._side == 1 or name == 1):
            key = ("values", "keys", "shape")[name - 1] if self._side == 1 else "label"
            if key in self._found:
                raise UnalignedError
            self._found[key] = (at, after)
        else:
            raise UnalignedError

    def _varint(self, at: Any, end: Any) -> tuple[Any, Any]:
        """Read a number of every record; return them and the places behind."""
        value, shift = np.zeros(len(at), np.int64), 0
        goes_on = np.ones(len(at), bool)
        while goes_on.any():
            if shift > 28 or (at >= end)[goes_on].any():
                raise UnalignedError
            byte = self._content[np.minimum(at, len(self._content) - 1)]
            value |= np.where(goes_on, (byte & 0x7F).astype(np.int64) << shift, 0)
            at = at + goes_on
            goes_on &= byte >= 0x80
            shift += 7
        return value, at

    def sparse(self) -> tuple[Any, Any, Any, int, Any]:
        """Return values, keys, row bounds, width and labels, or None, of sparse rows."""
        if not {"values", "keys"} <= set(self._found):
            raise UnalignedError
        at, after = self._found["values"]
        counts = (after - at) // 4
        if ((after - at) % 4).any():
            raise UnalignedError
        values = self._bytes(at, after).view("<f4").astype(np.float32, copy=False)
        keys = self._keys(counts)
        width = int(keys.max()) + 1 if keys.size else 0
        if "shape" in self._found:
            width = max(width, int(self._varint(*self._found["shape"])[0].max()))
        labels = None
        if "label" in self._found:
            at, after = self._found["label"]
            if (after - at != 4).any():
                raise UnalignedError
            labels = self._bytes(at, after).view("<f4").astype(np.float32, copy=False)
        return values, keys, np.concatenate(([0], np.cumsum(counts))), width, labels

    def _keys(self, counts: Any) -> Any:
        """Decode all varints of all records' keys."""
        at, after = self._found["keys"]
        content = self._bytes(at, after)
        ends = np.flatnonzero(content < 0x80)
        rows = np.searchsorted(np.cumsum(after - at), ends, side="right")
        if (np.bincount(rows, minlength=self.n_rows) != counts).any():
            raise UnalignedError
        starts = np.concatenate(([0], ends[:-1] + 1))
        lengths = ends - starts + 1
        if lengths.size and lengths.max() > 5:
            raise UnalignedError
        keys = np.zeros(len(ends), np.int64)
        for place in range(int(lengths.max()) if lengths.size else 0):
            found = lengths > place
            keys[found] |= (content[starts[found] + place] & 0x7F).astype(np.int64) << (7 * place)
        return keys

    def _bytes(self, at: Any, after: Any) -> Any:
        """Return the bytes between two places of every record, one record's after the other's."""
        sizes = after - at
        before = np.cumsum(sizes) - sizes
        return self._content[np.repeat(at - before, sizes) + np.arange(int(sizes.sum()))]
