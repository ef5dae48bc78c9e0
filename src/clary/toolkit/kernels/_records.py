"""The compiled half of `records`: frames, members of messages, packed floats and varints."""

from typing import Any

import numpy as np

from clary.toolkit.kernels._numba import kernel, types

VALUE_AT, N_VALUES, KEYS_AT, KEYS_END, N_KEYS, WIDTH, LABEL_AT = range(7)
"""Columns of what `scan` finds of a record; places are -1 where there is none."""
BODY = types.Array(types.uint8, 1, "C", readonly=True)
NUMBERS = types.Array(types.int64, 1, "C")
TABLE = types.Array(types.int64, 2, "C")
COLUMN = types.Array(types.int64, 1, "A")


@kernel()
def _word(body: Any, at: int) -> Any:
    low = np.int64(body[at]) | np.int64(body[at + 1]) << 8
    return low | np.int64(body[at + 2]) << 16 | np.int64(body[at + 3]) << 24


@kernel()
def _varint(body: Any, at: int, end: int) -> tuple[Any, int]:
    """Return a number, at most 35 bits of it, and the byte after it; -1 where it is longer or cut off."""
    value, shift = np.int64(0), 0
    while at < end and shift < 35:
        byte = body[at]
        at += 1
        value |= np.int64(byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return np.int64(-1), at


@kernel()
def _member(body: Any, at: int, end: int) -> tuple[int, int, int]:
    """Return field number, first byte and last byte + 1 of a member; -1 where it is not length-delimited."""
    tag = body[at]
    if tag & 0x87 != 2:
        return -1, at, end
    size, first = _varint(body, at + 1, end)
    if size < 0 or first + size > end:
        return -1, at, end
    return tag >> 3, first, first + size


@kernel()
def _tensor(body: Any, at: int, end: int, side: int, row: Any) -> bool:
    """Read one tensor of packed floats."""
    while at < end:
        name, at, after = _member(body, at, end)
        size = after - at
        if side == 2 and name == 1 and size == 4:
            row[LABEL_AT] = at
        elif side == 1 and name == 1 and row[VALUE_AT] < 0 and size & 3 == 0:
            row[VALUE_AT], row[N_VALUES] = at, size >> 2
        elif side == 1 and name == 2 and row[KEYS_AT] < 0:
            row[KEYS_AT], row[KEYS_END] = at, after
            for place in range(at, after):
                row[N_KEYS] += body[place] < 0x80
        elif side == 1 and name == 3 and size > 0:
            row[WIDTH] = _varint(body, at, after)[0]
        else:
            return False
        at = after
    return True


@kernel()
def _pair(body: Any, at: int, end: int, side: int, row: Any) -> bool:
    """Read one pair of a map; one that is not named `values` is passed over."""
    is_values = False
    while at < end:
        name, at, after = _member(body, at, end)
        if name == 1:
            is_values = after - at == 6 and body[at] == 118 and body[at + 1] == 97 and body[at + 5] == 115
        elif name == 2 and is_values:
            while at < after:
                kind, at, last = _member(body, at, after)
                if kind != 2 or not _tensor(body, at, last, side, row):
                    return False
                at = last
        elif name != 2:
            return False
        at = after
    return True


@kernel(types.UniTuple(types.int64, 2)(BODY, NUMBERS))
def frames(body: Any, starts: Any) -> tuple[int, int]:
    """Write where the payloads of whole frames begin; return their number and the bytes used.

    Stops at a frame that is cut off, or that `starts` has no room for; -1 frames mean that the bytes are
    none, or that a record is split.
    """
    at, count, end = 0, 0, len(body)
    while at + 8 <= end and count < len(starts):
        length = _word(body, at + 4)
        if _word(body, at) != 0xCED7230A or length >> 29:
            return -1, at
        after = at + 8 + ((length + 3) & ~3)
        if after > end:
            break
        starts[count] = at + 8
        count += 1
        at = after
    return count, at


@kernel(types.int64(BODY, NUMBERS, TABLE))
def scan(body: Any, starts: Any, found: Any) -> int:
    """Find values, keys and label of every record; return the first that is unlike the others, or -1."""
    for number in range(len(starts)):
        at = starts[number]
        end = at + _word(body, at - 4)
        row = found[number]
        row[:] = 0
        row[VALUE_AT] = row[KEYS_AT] = row[KEYS_END] = row[LABEL_AT] = -1
        while at < end:
            name, at, after = _member(body, at, end)
            if (name != 1 and name != 2) or not _pair(body, at, after, name, row):  # noqa: PLR1714 - for numba
                return number
            at = after
        if row[VALUE_AT] < 0 and row[WIDTH] == 0:
            return number
    return -1


@kernel(types.void(BODY, COLUMN, COLUMN, types.Array(types.uint32, 1, "C")))
def floats(body: Any, at: Any, count: Any, out: Any) -> None:
    """Copy floats as their 32 bits, record after record, to `out`, of uint32."""
    place = 0
    for number in range(len(at)):
        here = at[number]
        for _ in range(count[number]):
            out[place] = (
                np.uint32(body[here])
                | np.uint32(body[here + 1]) << 8
                | np.uint32(body[here + 2]) << 16
                | np.uint32(body[here + 3]) << 24
            )
            here += 4
            place += 1


@kernel(types.int64(BODY, COLUMN, COLUMN, types.Array(types.int32, 1, "C")))
def varints(body: Any, at: Any, end: Any, out: Any) -> int:
    """Decode the keys of every record to `out`, of int32; return the largest."""
    place, largest = 0, -1
    for number in range(len(at)):
        here, after = at[number], end[number]
        while here < after:
            value, here = _varint(body, here, after)
            out[place] = value
            largest = max(largest, value)
            place += 1
    return largest
