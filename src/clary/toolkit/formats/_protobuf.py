"""One protobuf record by itself: any field order, packed or not, floats, doubles or integers (20 us each)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5
"""Wire types of protobuf."""
_DTYPES: dict[int, np.dtype[Any]] = {2: np.dtype("<f4"), 3: np.dtype("<f8"), 7: np.dtype("<i4")}
"""By the field number in `Value`."""


@dataclass(slots=True)
class Tensor:
    """One `Value` of numbers."""

    values: NDArray[Any]
    keys: NDArray[np.int64] | None = None
    """Columns of the values; None in a dense tensor."""
    shape: tuple[int, ...] = ()
    place: tuple[int, int] | None = None
    """Bytes of the values within the record, where they are packed floats."""


@dataclass(slots=True)
class Record:
    """One record."""

    features: dict[str, Tensor] = field(default_factory=dict)
    label: dict[str, Tensor] = field(default_factory=dict)


def parse(payload: bytes) -> Record:
    """Parse a record; IndexError, ValueError or UnicodeDecodeError where it is none."""
    record = Record()
    for number, start, end, _ in _members(payload, 0, len(payload)):
        if number in {1, 2}:
            name, tensor = _entry(payload, start, end)
            if tensor is not None:
                (record.features if number == 1 else record.label)[name] = tensor
    return record


def _entry(payload: bytes, start: int, end: int) -> tuple[str, Tensor | None]:
    """Parse one pair of a map."""
    name, tensor = "", None
    for number, first, last, _ in _members(payload, start, end):
        if number == 1:
            name = payload[first:last].decode()
        elif number == 2:
            for kind, value_first, value_last, _ in _members(payload, first, last):
                if kind in _DTYPES:
                    tensor = _tensor(payload, value_first, value_last, _DTYPES[kind])
    return name, tensor


def _tensor(payload: bytes, start: int, end: int, dtype: np.dtype[Any]) -> Tensor:
    pieces: list[NDArray[Any]] = []
    keys: list[int] = []
    shape: list[int] = []
    place = None
    for number, first, last, wire in _members(payload, start, end):
        if number == 1:
            piece, place = _numbers(payload, first, last, wire, dtype)
            pieces.append(piece)
        elif number in {2, 3}:
            (keys if number == 2 else shape).extend(_varints(payload, first, last))
    values = pieces[0] if len(pieces) == 1 else np.concatenate(pieces) if pieces else np.zeros(0, dtype)
    is_sparse = bool(keys) or (bool(shape) and not values.size)
    return Tensor(
        values,
        np.array(keys, np.int64) if is_sparse else None,
        tuple(shape),
        place if len(pieces) == 1 else None,
    )


def _numbers(
    payload: bytes, first: int, last: int, wire: int, dtype: np.dtype[Any]
) -> tuple[NDArray[Any], tuple[int, int] | None]:
    """Read repeated numbers, packed or one alone; with their place where they are floats."""
    if dtype.kind == "f":
        place = (first, last) if wire == DELIMITED else None
        return np.frombuffer(payload[first:last], dtype), place
    found = np.array(_varints(payload, first, last), np.uint64)
    return found.astype(np.int64).astype(dtype), None


def _members(payload: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield field number, first byte, last byte + 1 and wire type of each member of a message."""
    at = start
    while at < end:
        tag, at = _varint(payload, at)
        wire = tag & 7
        if wire == DELIMITED:
            length, at = _varint(payload, at)
            last = at + length
        elif wire == VARINT:
            _, last = _varint(payload, at)
        elif wire in {FIXED32, FIXED64}:
            last = at + (4 if wire == FIXED32 else 8)
        else:
            raise ValueError(f"wire type {wire}")
        if last > end:
            raise ValueError("it ends too early")
        yield tag >> 3, at, last, wire
        at = last


def _varint(payload: bytes, at: int) -> tuple[int, int]:
    byte = payload[at]
    at += 1
    if byte < 0x80:
        return byte, at
    value, shift = byte & 0x7F, 7
    while True:
        byte = payload[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is longer than 64 bits")


def _varints(payload: bytes, first: int, last: int) -> list[int]:
    found, at = [], first
    while at < last:
        value, at = _varint(payload, at)
        found.append(value)
    return found
