"""RecordIO with protobuf records, the built-in algorithms' own format.

    message Record { map<string, Value> features = 1; map<string, Value> label = 2; string uid = 3; … }
    message Value  { oneof { Float32Tensor = 2; Float64Tensor = 3; Int32Tensor = 7; Bytes = 9; } }
    message Tensor { repeated T values = 1; repeated uint64 keys = 2; repeated uint64 shape = 3; }

Files of the SDK have dense records that differ in nothing but their numbers: those are read as one strided
array (4 GB/s) and written so too. Sparse ones go through compiled loops where numba is there and the body is
large (600 MB/s), else step by step for all at once (100 MB/s). What is left is read one by one (20 us each).
Source: SageMaker SDK, `record.proto`.
"""

from __future__ import annotations

import io
import struct
from struct import Struct
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.toolkit import recordio
from clary.toolkit.formats import _protobuf
from clary.toolkit.formats._aligned import Aligned, UnalignedError
from clary.toolkit.formats._protobuf import Record, Tensor
from clary.toolkit.formats.base import FormatError, Matrix, Table, concatenate, shown
from clary.toolkit.kernels import records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "CONTENT_TYPES",
    "Record",
    "Tensor",
    "decode",
    "decode_records",
    "encode",
    "encode_tensors",
    "read",
    "write",
]

CONTENT_TYPES = ("application/x-recordio-protobuf", "recordio-protobuf")

LARGE_BYTES = 32 << 20
"""Bodies from which compiling the loops pays, even where nothing is cached."""

MANY_BYTES = 8 << 10
"""Bodies from which reading all records at once pays."""
_HEAD = Struct("<II")
_VALUES = "values"
_WRITE_BYTES = 1 << 20


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
            tables[-1].name = shown(path, folder)
        except FormatError as error:
            raise FormatError(f"{shown(path, folder)}: {error}") from error
    return concatenate(tables)


def decode(body: bytes | memoryview, *, first: int = 0) -> Table:
    """Decode records to rows; CSR where any of them is sparse. Labels are None where no record has one.

    Parameters
    ----------
    first : int
        Number of the first record, for messages.

    Raises
    ------
    FormatError
        Not RecordIO, or not records with `values` among their features.
    """
    if not body:
        return Table(np.zeros((0, 0), np.float32), np.zeros(0, np.float32))
    table = _strided(body)
    if table is None and len(body) >= (MANY_BYTES if records.is_loaded() else LARGE_BYTES):
        table = _scanned(body)
    if table is None and len(body) >= MANY_BYTES:
        table = _aligned(body)
    return table if table is not None else _gathered(list(decode_records(body, first=first)), first)


def whole_frames(body: bytes | memoryview) -> int:
    """Return how many bytes at the front of `body` are whole records; the rest awaits its end.

    Raises
    ------
    FormatError
        Not RecordIO.
    """
    if len(body) < _HEAD.size:
        return 0
    magic, mixed = _HEAD.unpack_from(body)
    stride = _HEAD.size + (mixed & recordio.LONGEST) + (-mixed % 4)
    n_rows = len(body) // stride
    if magic == recordio.MAGIC and n_rows:
        heads = np.frombuffer(body, np.uint8, n_rows * stride).reshape(n_rows, stride)[:, : _HEAD.size]
        if (heads == heads[0]).all():
            return int(n_rows * stride)
    if records.is_loaded():
        starts = np.empty(len(body) // (_HEAD.size + 4), np.int64)
        n_rows, used = records.compiled().frames(np.frombuffer(body, np.uint8), starts)
        if n_rows >= 0:
            return int(used)
    at, start = 0, 0
    while at + _HEAD.size <= len(body):
        magic, mixed = _HEAD.unpack_from(body, at)
        if magic != recordio.MAGIC:
            raise FormatError(
                f"no RecordIO frame at byte {at}: found {magic:#010x} instead of {recordio.MAGIC:#010x}"
            )
        part, length = mixed >> 29, mixed & recordio.LONGEST
        at += _HEAD.size + length + (-length % 4)
        if at <= len(body) and part in {0, 3}:
            start = at
    return start


def decode_records(body: bytes | memoryview, *, first: int = 0) -> Iterator[Record]:
    """Yield the records of a body.

    Raises
    ------
    FormatError
        Not RecordIO, or not records; the text numbers the record, from `first`.
    """
    try:
        for number, payload in enumerate(recordio.records(io.BytesIO(body)), first):
            try:
                yield _protobuf.parse(payload)
            except (IndexError, struct.error, ValueError, UnicodeDecodeError) as error:
                raise FormatError(f"record {number} is not a protobuf Record: {error}") from error
    except recordio.RecordIOError as error:
        raise FormatError(str(error)) from error


def _strided(body: bytes | memoryview) -> Table | None:
    """Read records that are equal but for their floats; None where they are not."""
    magic, length = _HEAD.unpack_from(body) if len(body) >= _HEAD.size else (0, 0)
    stride = _HEAD.size + length + (-length % 4)
    if magic != recordio.MAGIC or len(body) % stride or length > recordio.LONGEST:
        return None
    try:
        record = _protobuf.parse(bytes(body[_HEAD.size : _HEAD.size + length]))
    except (IndexError, struct.error, ValueError):
        return None
    features = record.features.get(_VALUES)
    label = record.label.get(_VALUES)
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
    numbers = rows[:, start:end].copy()  # even of one row: the body may be a buffer that is used again
    return numbers.view(tensor.values.dtype).astype(np.float32, copy=False)


def _scanned(body: bytes | memoryview) -> Table | None:  # noqa: PLR0911 - what it does not know, the slow way does
    """Read records by compiled loops, all dense or all sparse; None where they are neither."""
    loops = records.compiled()
    if loops is None:
        return None
    content = np.frombuffer(bytes(body), np.uint8)
    starts = np.empty(len(body) // (_HEAD.size + 4), np.int64)
    n_rows, used = loops.frames(content, starts)
    if n_rows < 1 or used != len(body):
        return None
    found = np.empty((n_rows, 7), np.int64)
    if loops.scan(content, starts[:n_rows], found) >= 0:
        return None
    counts, label_at = found[:, loops.N_VALUES], found[:, loops.LABEL_AT]
    has_labels = label_at >= 0
    is_sparse = (found[:, loops.KEYS_AT] >= 0) | ((found[:, loops.WIDTH] > 0) & (counts == 0))
    if has_labels.any() != has_labels.all() or is_sparse.any() != is_sparse.all():
        return None
    bits = np.empty(int(counts.sum()), np.uint32)
    loops.floats(content, found[:, loops.VALUE_AT], counts, bits)
    labels = None
    if has_labels.all():
        label_bits = np.empty(n_rows, np.uint32)
        loops.floats(content, label_at, np.ones(n_rows, np.int64), label_bits)
        labels = label_bits.view(np.float32)
    values = bits.view(np.float32)
    if not is_sparse.any():
        is_even = (counts == counts[0]).all()
        return Table(values.reshape(n_rows, -1), labels) if is_even else None
    keys = np.empty(bits.size, np.int32)
    largest = -1
    if (found[:, loops.N_KEYS] == counts).all():
        largest = loops.varints(content, found[:, loops.KEYS_AT], found[:, loops.KEYS_END], keys)
    if not bits.size or not 0 <= largest <= np.iinfo(np.int32).max:
        return None
    indptr = np.concatenate(([0], np.cumsum(counts)))
    width = max(int(largest) + 1, int(found[:, loops.WIDTH].max()))
    return Table(_csr(values, keys, indptr, n_rows, width), labels)


def _aligned(body: bytes | memoryview) -> Table | None:
    """Read sparse records that are built alike, a step for all of them; None where they are not."""
    try:
        found = Aligned(body)
        values, keys, indptr, width, labels = found.sparse()
    except UnalignedError:
        return None
    return Table(_csr(values, keys, indptr, found.n_rows, width), labels)


def _csr(values: Any, keys: Any, indptr: Any, n_rows: int, width: int) -> Matrix:
    from scipy import sparse  # noqa: PLC0415 - 40 ms that dense data need not pay

    return sparse.csr_matrix((values, keys, indptr), shape=(n_rows, width))


def _gathered(found: Sequence[Record], first: int = 0) -> Table:
    """Put parsed records together."""
    tensors = []
    for number, record in enumerate(found, first):
        if _VALUES not in record.features:
            raise FormatError(f'record {number} has no feature "{_VALUES}"')
        tensors.append(record.features[_VALUES])
    labels = [record.label[_VALUES].values for record in found if _VALUES in record.label]
    if labels and (len(labels) != len(found) or any(label.size != 1 for label in labels)):
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
    keys = [np.arange(each.values.size) if each.keys is None else each.keys for each in tensors]
    if any(key.size != tensor.values.size for key, tensor in zip(keys, tensors, strict=True)):
        raise FormatError("a sparse record has another number of keys than of values")
    indptr = np.concatenate(([0], np.cumsum([key.size for key in keys])))
    widest = max((int(key.max()) + 1 for key in keys if key.size), default=0)
    width = max(widest, max((tensor.shape[0] for tensor in tensors if tensor.shape), default=0))
    values = np.concatenate([tensor.values for tensor in tensors]).astype(np.float32)
    return _csr(values, np.concatenate(keys), indptr, len(tensors), width)


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


def encode_tensors(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """Encode one record whose `features` are tensors: of integers int32, of other numbers float32."""
    pairs = []
    for name, values in tensors.items():
        if values.dtype.kind not in "iu":
            pairs.append(_pair(name, values.reshape(-1)))
            continue
        packed = b"".join(_packed(each & 0xFFFF_FFFF_FFFF_FFFF) for each in values.reshape(-1).tolist())
        value = _delimited(7, _delimited(1, packed))
        pairs.append(_delimited(1, name.encode()) + _delimited(2, value))
    return recordio.wrap(b"".join(_delimited(1, pair) for pair in pairs))


def encode_columns(columns: Mapping[str, NDArray[Any]]) -> bytes:
    """Encode answers that lie in columns: what `encode` makes of their rows, at once.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (n_rows,) or (n_rows, n)
    """
    parts = [(2, name, values.reshape(len(values), -1)) for name, values in columns.items()]
    return _stamped(parts)


def write(features: Matrix, labels: NDArray[Any] | None = None) -> bytes:
    """Encode rows to learn from, as the SDK's `write_numpy_to_dense_tensor` and its sparse twin do."""
    if isinstance(features, np.ndarray):
        parts = [(1, _VALUES, features)]
        if labels is not None:
            parts.append((2, _VALUES, np.asarray(labels).reshape(-1, 1)))
        return _stamped(parts)
    frames = []
    tails = _delimited(3, _packed(int(features.shape[1])))
    bounds = features.indptr
    values, keys = np.asarray(features.data, "<f4"), features.indices.tolist()
    for number in range(features.shape[0]):
        first, last = bounds[number], bounds[number + 1]
        packed = b"".join(map(_packed, keys[first:last]))
        record = _delimited(1, _pair(_VALUES, values[first:last], _delimited(2, packed), tails))
        if labels is not None:
            record += _delimited(2, _pair(_VALUES, np.atleast_1d(labels[number])))
        frames.append(recordio.wrap(record))
    return b"".join(frames)


def _stamped(parts: Sequence[tuple[int, str, NDArray[Any]]]) -> bytes:
    """Encode rows of one shape: one record is the stamp, and only its floats differ."""
    n_rows = len(parts[0][2])
    if not n_rows:
        return b""
    content, places = b"", []
    for number, name, values in parts:
        pair = _delimited(number, _pair(name, np.zeros(values.shape[1])))
        content += pair
        places.append(_HEAD.size + len(content) - 4 * values.shape[1])
    stamp = np.frombuffer(recordio.wrap(content), np.uint8)
    out = np.empty((n_rows, stamp.size), np.uint8)
    step = max(1, _WRITE_BYTES // stamp.size)
    for start in range(0, n_rows, step):
        block = out[start : start + step]
        block[:] = stamp
        for place, (_, _, values) in zip(places, parts, strict=True):
            numbers = np.ascontiguousarray(values[start : start + step], "<f4")
            block[:, place : place + 4 * values.shape[1]] = numbers.view(np.uint8)
    return out.tobytes()


def _pair(name: str, values: Any, *extra: bytes) -> bytes:
    tensor = _delimited(1, np.asarray(values, np.float32).astype("<f4").tobytes()) + b"".join(extra)
    return _delimited(1, name.encode()) + _delimited(2, _delimited(2, tensor))


def _delimited(number: int, content: bytes) -> bytes:
    return _packed(number << 3 | _protobuf.DELIMITED) + _packed(len(content)) + content


def _packed(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
