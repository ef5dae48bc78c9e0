"""RecordIO with protobuf records, the built-in algorithms' own format.

    message Record { map<string, Value> features = 1; map<string, Value> label = 2; string uid = 3; … }
    message Value  { oneof { Float32Tensor = 2; Float64Tensor = 3; Int32Tensor = 7; Bytes = 9; } }
    message Tensor { repeated T values = 1; repeated uint64 keys = 2; repeated uint64 shape = 3; }

Files of the SDK have dense records that differ in nothing but their numbers: those are read as one strided
array (5 GB/s); any other record is parsed by itself (20 us each). Source: SageMaker SDK, `record.proto`.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field
from struct import Struct
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.toolkit import recordio
from clary.toolkit.formats.base import FormatError, Matrix, Table, concatenate, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CONTENT_TYPES = ("application/x-recordio-protobuf", "recordio-protobuf")

_HEAD = Struct("<II")
_VALUES = "values"
_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
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


def read(paths: Sequence[Path], *, folder: Path | None = None) -> Table:
    """Read files of one channel.

    Raises
    ------
    FormatError
        Not RecordIO, or not records; the text names the file.
    """
    tables = []
    for path in paths:
        try:
            tables.append(decode(path.read_bytes()))
        except FormatError as error:
            raise FormatError(f"{shown(path, folder)}: {error}") from error
    return concatenate(tables)


def decode(body: bytes) -> Table:
    """Decode records to rows; CSR where any of them is sparse. Labels are None where no record has one.

    Raises
    ------
    FormatError
        Not RecordIO, or not records with `values` among their features.
    """
    if not body:
        return Table(np.zeros((0, 0), np.float32), np.zeros(0, np.float32))
    table = _strided(body)
    return table if table is not None else _gathered(list(decode_records(body)))


def decode_records(body: bytes) -> Iterator[Record]:
    """Yield the records of a body.

    Raises
    ------
    FormatError
        Not RecordIO, or not records.
    """
    try:
        for number, payload in enumerate(recordio.records(io.BytesIO(body))):
            try:
                yield _record(payload)
            except (IndexError, struct.error, ValueError, UnicodeDecodeError) as error:
                raise FormatError(f"record {number} is not a protobuf Record: {error}") from error
    except recordio.RecordIOError as error:
        raise FormatError(str(error)) from error


def _strided(body: bytes) -> Table | None:
    """Read records that are equal but for their floats; None where they are not."""
    magic, length = _HEAD.unpack_from(body.ljust(_HEAD.size, b"\0"))
    stride = _HEAD.size + length + (-length % 4)
    if magic != recordio.MAGIC or len(body) % stride or length > recordio.LONGEST:
        return None
    try:
        first = _record(body[_HEAD.size : _HEAD.size + length])
    except (IndexError, struct.error, ValueError):
        return None
    features = first.features.get(_VALUES)
    label = first.label.get(_VALUES)
    if features is None or features.place is None or features.keys is not None:
        return None
    if label is not None and (label.place is None or label.values.size != 1):
        return None
    rows = np.frombuffer(body, np.uint8).reshape(-1, stride)
    fixed = np.ones(stride, bool)
    for tensor in (features, label):
        if tensor is not None and tensor.place is not None:
            fixed[_HEAD.size + tensor.place[0] : _HEAD.size + tensor.place[1]] = False
    if (rows[:, fixed] != rows[0, fixed]).any():
        return None
    labels = _floats(rows, label).reshape(-1) if label is not None else None
    return Table(_floats(rows, features), labels)


def _floats(rows: NDArray[np.uint8], tensor: Tensor) -> NDArray[np.float32]:
    assert tensor.place is not None
    start, end = (_HEAD.size + place for place in tensor.place)
    return np.ascontiguousarray(rows[:, start:end]).view(tensor.values.dtype).astype(np.float32, copy=False)


def _gathered(records: Sequence[Record]) -> Table:
    """Put parsed records together."""
    tensors = []
    for number, record in enumerate(records):
        if _VALUES not in record.features:
            raise FormatError(f'record {number} has no feature "{_VALUES}"')
        tensors.append(record.features[_VALUES])
    labels = [record.label[_VALUES].values for record in records if _VALUES in record.label]
    if labels and (len(labels) != len(records) or any(label.size != 1 for label in labels)):
        raise FormatError("each record must have one label, or none must have any")
    return Table(_features(tensors), np.concatenate(labels).astype(np.float32) if labels else None)


def _features(tensors: Sequence[Tensor]) -> Matrix:
    if all(tensor.keys is None for tensor in tensors):
        widths = {tensor.values.size for tensor in tensors}
        if len(widths) > 1:
            raise FormatError(
                f"records differ in their number of features: {', '.join(map(str, sorted(widths)))}"
            )
        return np.stack([tensor.values for tensor in tensors]).astype(np.float32)
    from scipy import sparse  # noqa: PLC0415 - 40 ms that dense data need not pay

    keys = [np.arange(each.values.size) if each.keys is None else each.keys for each in tensors]
    if any(key.size != tensor.values.size for key, tensor in zip(keys, tensors, strict=True)):
        raise FormatError("a sparse record has another number of keys than of values")
    indptr = np.concatenate(([0], np.cumsum([key.size for key in keys])))
    widest = max((int(key.max()) + 1 for key in keys if key.size), default=0)
    width = max(widest, max((tensor.shape[0] for tensor in tensors if tensor.shape), default=0))
    values = np.concatenate([tensor.values for tensor in tensors]).astype(np.float32)
    return sparse.csr_matrix((values, np.concatenate(keys), indptr), shape=(len(tensors), width))


def _record(payload: bytes) -> Record:
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
        place = (first, last) if wire == _DELIMITED else None
        return np.frombuffer(payload[first:last], dtype), place
    found = np.array(_varints(payload, first, last), np.uint64)
    return found.astype(np.int64).astype(dtype), None


def _members(payload: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield field number, first byte, last byte + 1 and wire type of each member of a message."""
    at = start
    while at < end:
        tag, at = _varint(payload, at)
        wire = tag & 7
        if wire == _DELIMITED:
            length, at = _varint(payload, at)
            last = at + length
        elif wire == _VARINT:
            _, last = _varint(payload, at)
        elif wire in {_FIXED32, _FIXED64}:
            last = at + (4 if wire == _FIXED32 else 8)
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


def encode(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Encode answers: each row's members become float32 tensors in the record's `label` map.

    Parameters
    ----------
    rows : iterable of mapping of str to number or sequence of numbers
    """
    return b"".join(
        recordio.wrap(
            b"".join(_delimited(2, _pair(name, np.atleast_1d(value))) for name, value in row.items())
        )
        for row in rows
    )


def write(features: Matrix, labels: NDArray[Any] | None = None) -> bytes:
    """Encode rows to learn from, as the SDK's `write_numpy_to_dense_tensor` and its sparse twin do."""
    frames = []
    for number in range(features.shape[0]):
        row = features[number]
        pair = _pair(_VALUES, row) if isinstance(row, np.ndarray) else _sparse_pair(row)
        record = _delimited(1, pair)
        if labels is not None:
            record += _delimited(2, _pair(_VALUES, np.atleast_1d(labels[number])))
        frames.append(recordio.wrap(record))
    return b"".join(frames)


def _pair(name: str, values: Any, *extra: bytes) -> bytes:
    tensor = _delimited(1, np.asarray(values, np.float32).astype("<f4").tobytes()) + b"".join(extra)
    return _delimited(1, name.encode()) + _delimited(2, _delimited(2, tensor))


def _sparse_pair(row: Any) -> bytes:
    keys = b"".join(_packed(int(key)) for key in row.indices)
    return _pair(_VALUES, row.data, _delimited(2, keys), _delimited(3, _packed(int(row.shape[-1]))))


def _delimited(number: int, content: bytes) -> bytes:
    return _packed(number << 3 | _DELIMITED) + _packed(len(content)) + content


def _packed(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
