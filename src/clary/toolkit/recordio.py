"""RecordIO frames, as MXNet and SageMaker's Pipe mode write them.

    magic 0xced7230a │ u32: 3 bits part, 29 bits length │ payload │ zeros up to a multiple of 4

A payload is one frame. Readers also take MXNet's split records: parts 1, 2 … 3, joined by the magic that the
writer cut out.
"""

import os
from collections.abc import Iterable, Iterator
from struct import Struct
from typing import BinaryIO

MAGIC = 0xCED7230A
LONGEST = (1 << 29) - 1
"""Bytes of one payload. Source: dmlc-core, recordio.h."""

_HEAD = Struct("<II")
_JOINT = MAGIC.to_bytes(4, "little")
_WHOLE, _FIRST, _LAST = 0, 1, 3


class RecordIOError(ValueError):
    """The bytes are not RecordIO."""


def head(length: int) -> bytes:
    """Return what precedes a payload of `length` bytes.

    Raises
    ------
    RecordIOError
        The payload does not fit a frame.
    """
    if length > LONGEST:
        raise RecordIOError(f"a RecordIO record holds at most {LONGEST} bytes, not {length}")
    return _HEAD.pack(MAGIC, length)


def tail(length: int) -> bytes:
    """Return what follows a payload of `length` bytes."""
    return b"\0" * (-length % 4)


def wrap(payload: bytes) -> bytes:
    """Return `payload` as one frame."""
    return head(len(payload)) + payload + tail(len(payload))


def wrap_stream(length: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a payload of known length, which comes in pieces, as one frame."""
    yield head(length)
    yield from pieces
    yield tail(length)


def records(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the payloads of a stream.

    Raises
    ------
    RecordIOError
        A frame has no magic number, or ends too early; the text names its place.
    """
    at = 0
    parts: list[bytes] = []
    while prefix := _exactly(stream, _HEAD.size, at, may_end=not parts):
        magic, mixed = _HEAD.unpack(prefix)
        if magic != MAGIC:
            raise RecordIOError(
                f"no RecordIO frame at byte {at}: found {magic:#010x} instead of {MAGIC:#010x}"
            )
        part, length = mixed >> 29, mixed & LONGEST
        padded = length + (-length % 4)
        payload = _exactly(stream, padded, at)[:length]
        at += _HEAD.size + padded
        if part == _WHOLE:
            yield payload
            continue
        if bool(parts) == (part == _FIRST):
            raise RecordIOError(f"a split RecordIO record before byte {at} lacks a part")
        parts.append(payload)
        if part == _LAST:
            yield _JOINT.join(parts)
            parts = []


def spans(stream: BinaryIO) -> Iterator[tuple[tuple[int, int], ...]]:
    """Yield where the payloads of a file lie: place and length of each of their parts.

    Raises
    ------
    RecordIOError
        A frame has no magic number, or ends too early; the text names its place.
    """
    size = stream.seek(0, os.SEEK_END)
    at = 0
    parts: list[tuple[int, int]] = []
    while at < size:
        stream.seek(at)
        magic, mixed = _HEAD.unpack(_exactly(stream, _HEAD.size, at))
        if magic != MAGIC:
            raise RecordIOError(
                f"no RecordIO frame at byte {at}: found {magic:#010x} instead of {MAGIC:#010x}"
            )
        part, length = mixed >> 29, mixed & LONGEST
        if at + _HEAD.size + length > size:
            raise RecordIOError(
                f"the RecordIO frame at byte {at} ends after {size - at - _HEAD.size} of {length} bytes"
            )
        if part != _WHOLE and bool(parts) == (part == _FIRST):
            raise RecordIOError(f"a split RecordIO record before byte {at} lacks a part")
        parts.append((at + _HEAD.size, length))
        if part in {_WHOLE, _LAST}:
            yield tuple(parts)
            parts = []
        at += _HEAD.size + length + (-length % 4)


def joined(parts: Iterable[bytes]) -> bytes:
    """Return a payload whose parts were found by `spans`."""
    return _JOINT.join(parts)


def _exactly(stream: BinaryIO, length: int, at: int, *, may_end: bool = False) -> bytes:
    found = stream.read(length)
    while 0 < len(found) < length and (more := stream.read(length - len(found))):
        found += more
    if len(found) < length and not (may_end and not found):
        raise RecordIOError(f"the RecordIO frame at byte {at} ends after {len(found)} of {length} bytes")
    return found
