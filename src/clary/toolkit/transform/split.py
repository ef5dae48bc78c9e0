r"""Objects into payloads: by line, RecordIO or TFRecord frame, or whole.

    pieces of bytes ──records──▶ as many as fit the limit ──▶ payload ──▶ payload …

A payload of several records is a stretch of the object as it is, frames and line ends included; a payload of
one record is, of binary formats, the record without its frame. Source: API reference, TransformInput.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from clary.toolkit import recordio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

NONE, LINE, RECORDIO, TFRECORD = "None", "Line", "RecordIO", "TFRecord"
SINGLE, MULTI = "SingleRecord", "MultiRecord"
STRATEGIES = {SINGLE: "SINGLE_RECORD", MULTI: "MULTI_RECORD"}
"""As containers and logs spell them. Source: SDK v2, local mode."""
MIB = 1 << 20
DEFAULT_PAYLOAD_MB = 6
"""Source: API reference, CreateTransformJob, MaxPayloadInMB."""

_RECORDIO_HEAD = Struct("<II")
_TFRECORD_HEAD = Struct("<QI")
_CRC_BYTES = 4


class SplitError(ValueError):
    """An object cannot be cut into payloads; the text is for the customer."""


def payloads(
    pieces: Iterable[bytes],
    *,
    split: str = NONE,
    strategy: str = MULTI,
    limit_bytes: int = DEFAULT_PAYLOAD_MB * MIB,
) -> Iterator[bytes]:
    """Cut one object into payloads.

    Parameters
    ----------
    pieces : iterable of bytes
        The object's bytes, in pieces of any length.
    split : str
        `None`, `Line`, `RecordIO` or `TFRecord`.
    strategy : str
        `MultiRecord` fills payloads with whole records; `SingleRecord` makes one of each.
    limit_bytes : int
        Longest payload; 0 means any length.

    Raises
    ------
    SplitError
        One record is longer than the limit, or the object is not of the format.
    """
    if split == NONE:
        return _whole(pieces, limit_bytes)
    if split == LINE:
        return _lines(pieces, limit_bytes) if strategy == SINGLE else _stretches(pieces, limit_bytes)
    end_of = _recordio_end if split == RECORDIO else _tfrecord_end
    content_of = _recordio_content if split == RECORDIO else _tfrecord_content
    frames = _frames(pieces, end_of, split)
    if strategy == SINGLE:
        return _checked((content_of(frame) for frame in frames), limit_bytes)
    return _packed(_checked(frames, limit_bytes), limit_bytes)


def _whole(pieces: Iterable[bytes], limit: int) -> Iterator[bytes]:
    held = bytearray()
    for piece in pieces:
        held += piece
        if limit and len(held) > limit:
            raise SplitError(
                f"{too_large(limit)} The object is sent as one record; set SplitType to have it split."
            )
    if held:
        yield bytes(held)


def _stretches(pieces: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """Yield stretches of whole lines, each as long as the limit allows."""
    held: list[bytes] = []
    n_held = 0
    for piece in pieces:
        held.append(piece)
        n_held += len(piece)
        while limit and n_held > limit:
            whole = b"".join(held)
            end = whole.rfind(b"\n", 0, limit) + 1
            if not end:
                raise SplitError(too_large(limit))
            yield whole[:end]
            held, n_held = [whole[end:]], n_held - end
    if n_held:
        yield b"".join(held)


def _lines(pieces: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """Yield lines with their ends; empty ones are no records."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if limit and len(line) >= limit:
                raise SplitError(too_large(limit))
            if line.strip():
                yield line + b"\n"
        if limit and len(rest) > limit:
            raise SplitError(too_large(limit))
    if rest.strip():
        yield rest


def _frames(
    pieces: Iterable[bytes], end_of: Callable[[bytes, int], int | None], split: str
) -> Iterator[bytes]:
    held, at = b"", 0
    wanted = 0
    waiting: list[bytes] = []
    n_waiting = 0
    for piece in pieces:
        waiting.append(piece)
        n_waiting += len(piece)
        if n_waiting + len(held) < wanted:
            continue
        held, waiting, n_waiting, at = held + b"".join(waiting), [], 0, 0
        while (end := end_of(held, at)) is not None and end <= len(held):
            yield held[at:end]
            at = end
        wanted = 0 if end is None else end - at
        held = held[at:]
    held += b"".join(waiting)
    if held:
        raise SplitError(
            f"the object ends in the middle of a {split} record, {len(held)} bytes after its begin"
        )


def _checked(records: Iterable[bytes], limit: int) -> Iterator[bytes]:
    for record in records:
        if limit and len(record) > limit:
            raise SplitError(too_large(limit))
        yield record


def _packed(records: Iterable[bytes], limit: int) -> Iterator[bytes]:
    held: list[bytes] = []
    n_held = 0
    for record in records:
        if limit and held and n_held + len(record) > limit:
            yield b"".join(held)
            held, n_held = [], 0
        held.append(record)
        n_held += len(record)
    if held:
        yield b"".join(held)


def _recordio_end(held: bytes, at: int) -> int | None:
    """Return where the record at `at` ends, all parts of a split one included; None to be told more."""
    while len(held) - at >= _RECORDIO_HEAD.size:
        magic, mixed = _RECORDIO_HEAD.unpack_from(held, at)
        if magic != recordio.MAGIC:
            raise SplitError(
                f"the object is not RecordIO: a record begins with {magic:#010x}, not {recordio.MAGIC:#010x}"
            )
        part, length = mixed >> 29, mixed & recordio.LONGEST
        at += _RECORDIO_HEAD.size + length + (-length % 4)
        if part in {0, 3}:
            return at
    return None


def _recordio_content(frame: bytes) -> bytes:
    import io  # noqa: PLC0415 - of one format only

    return next(recordio.records(io.BytesIO(frame)))


def _tfrecord_end(held: bytes, at: int) -> int | None:
    if len(held) - at < _TFRECORD_HEAD.size:
        return None
    length, _ = _TFRECORD_HEAD.unpack_from(held, at)
    if length >= 1 << 40:
        raise SplitError(f"the object is not TFRecord: a record claims {length} bytes")
    return at + _TFRECORD_HEAD.size + int(length) + _CRC_BYTES


def _tfrecord_content(frame: bytes) -> bytes:
    return frame[_TFRECORD_HEAD.size : -_CRC_BYTES]


def too_large(limit: int) -> str:
    """Return what is said of a record that is longer than the limit."""
    size = f"{limit / MIB:g}MB"
    return f"Record is larger than {size}. Please increase your max_payload (MaxPayloadInMB, at most 100)."
