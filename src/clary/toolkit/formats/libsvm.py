"""LIBSVM text: `<label>[:<weight>] [qid:<query>] <index>:<value> …`, indices as they are, comments after `#`.

Source: XGBoost, "Text Input Format of DMatrix"; developer guide, "XGBoost Algorithm": indices from zero.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from clary.toolkit.formats.base import FormatError, Table, concatenate, shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CONTENT_TYPES = ("text/libsvm", "libsvm", "text/x-libsvm")

_QUERY = re.compile(rb"\bqid:(\d+)[ \t]?")
_COLON, _NEWLINE = ord(":"), ord("\n")


def read(paths: Sequence[Path], *, folder: Path | None = None) -> Table:
    """Read files of one channel; features are CSR, as wide as the largest index.

    Raises
    ------
    FormatError
        A line is malformed; the text names file and line.
    """
    tables = [_parse(path.read_bytes(), shown(path, folder), has_label=True) for path in paths]
    return concatenate(tables)


def decode(body: bytes) -> sparse.csr_matrix:
    """Decode the rows of a request; labels, which may be there, are passed over.

    Raises
    ------
    FormatError
        A line is malformed.
    """
    return _slowly(body.strip(), "request", has_label=False).features


def _parse(text: bytes, name: str, *, has_label: bool) -> Table:
    plain = b"\n".join(line for line in text.replace(b"\r", b"").split(b"\n") if line.strip())
    if not plain:
        return Table(sparse.csr_matrix((0, 0), dtype=np.float32), np.zeros(0, np.float32))
    if b"#" not in plain and (table := _quickly(plain)) is not None:
        return table
    return _slowly(text, name, has_label=has_label)


def _quickly(plain: bytes) -> Table | None:
    """Parse well-formed text in a few passes of numpy; None where it is not plainly well-formed."""
    groups = None
    if b"qid:" in plain:
        groups = np.array(_QUERY.findall(plain), np.int64)
        plain = _QUERY.sub(b"", plain)
    raw = np.frombuffer(plain, np.uint8)
    ends = np.append(np.flatnonzero(raw == _NEWLINE), raw.size)
    colons = np.flatnonzero(raw == _COLON)
    per_row = np.diff(np.searchsorted(colons, ends), prepend=0)
    if groups is not None and groups.size != ends.size:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy 2 warns where text is not a number
            flat = np.fromstring(plain.replace(b":", b" "), np.float64, sep=" ")
    except (ValueError, DeprecationWarning):
        return None
    if flat.size != ends.size + 2 * colons.size:
        return None
    starts = np.arange(ends.size) + 2 * (np.cumsum(per_row) - per_row)
    pairs = np.delete(flat, starts).reshape(-1, 2)
    indices = pairs[:, 0].astype(np.int64)
    if indices.size and (indices.min() < 0 or (indices != pairs[:, 0]).any()):
        return None
    if _has_weights(plain):  # a weight shifts the pairs, so that the count above does not tell
        return None
    indptr = np.concatenate(([0], np.cumsum(per_row)))
    return Table(
        _csr(pairs[:, 1].astype(np.float32), indices, indptr), flat[starts].astype(np.float32), None, groups
    )


def _has_weights(plain: bytes) -> bool:
    return any(b":" in line.split(None, 1)[0] for line in plain.split(b"\n"))


def _csr(
    values: NDArray[np.float32], indices: NDArray[np.int64], indptr: NDArray[np.int64]
) -> sparse.csr_matrix:
    width = int(indices.max()) + 1 if indices.size else 0
    matrix = sparse.csr_matrix((values, indices, indptr), shape=(indptr.size - 1, width))
    matrix.sort_indices()
    return matrix


def _slowly(text: bytes, name: str, *, has_label: bool) -> Table:
    """Parse line by line; says which line is wrong."""
    labels, weights, queries = [], [], []
    values: list[float] = []
    indices: list[int] = []
    indptr = [0]
    for number, line in enumerate(text.split(b"\n"), 1):
        tokens = line.partition(b"#")[0].split()
        if not tokens:
            continue
        try:
            if has_label:
                label, colon, weight = tokens.pop(0).partition(b":")
                labels.append(float(label))
                if colon:
                    weights.append(float(weight))
            for token in tokens:
                index, colon, value = token.partition(b":")
                if index == b"qid":
                    queries.append(int(value))
                elif colon:
                    column = int(index)
                    if column < 0:
                        raise ValueError(index)
                    indices.append(column)
                    values.append(float(value))
                elif has_label:
                    raise ValueError(token)
        except ValueError:
            snippet = line[:50].decode("utf-8", "replace").strip()
            raise FormatError(
                f"{name}, line {number}: {snippet!r} is not in LIBSVM format, "
                "<label> <index>:<value> <index>:<value> …"
            ) from None
        indptr.append(len(indices))
    for what, found in (("weights", weights), ("qid", queries)):
        if found and len(found) != len(indptr) - 1:
            raise FormatError(f"{name}: some lines have {what} and others have none")
    matrix = _csr(np.array(values, np.float32), np.array(indices, np.int64), np.array(indptr, np.int64))
    return Table(
        matrix,
        np.array(labels, np.float32) if has_label else None,
        np.array(weights, np.float32) if weights else None,
        np.array(queries, np.int64) if queries else None,
    )
