"""CSV of numbers: label first in training, no header, NaN where a field is empty.

Measured, 10,000 x 21 values of 9 characters, one core: numpy's reader 9 ms, pandas 8, XGBoost's own 16,
`fromstring` 16; one row of 20: `fromiter` 2 us, `fromstring` 4, pandas 1,000.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.toolkit.formats.base import FormatError, Table, concatenate, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CONTENT_TYPES = ("text/csv", "csv")

DELIMITERS = (",", "\t", ";", "|", " ")
"""In the order in which a line is searched for them."""

_MISSING = frozenset({b"", b"na", b"n/a", b"null", b"none", b"nan"})
_BOM = b"\xef\xbb\xbf"
LARGE_BYTES = 8 << 20
"""Bytes of a file from which a compiled loop pays, even where it has to be loaded or compiled first."""
SHORT = 32 * 1024
"""Bytes up to which plain Python beats numpy's reader, whose start costs 30 us."""
_WIDE = 10_000
"""Columns from which on pandas is slower than plain Python: each costs it 25 us."""


def sniff(line: bytes | str) -> str:
    """Return the delimiter of a line of numbers; a comma where it has none."""
    text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
    return next((delimiter for delimiter in DELIMITERS if delimiter in text.strip()), ",")


def read(
    paths: Sequence[Path],
    *,
    n_labels: int = 1,
    has_weights: bool = False,
    delimiter: str | None = None,
    folder: Path | None = None,
) -> Table:
    """Read files of one channel.

    Parameters
    ----------
    n_labels : int
        Label columns at the front: 1, or 0 for unsupervised data.
    has_weights : bool
        Whether the column after the label holds the row's weight.
    delimiter : str, optional
        Found from the first line if not given.
    folder : Path, optional
        The channel's; names in messages start with it.

    Raises
    ------
    FormatError
        A field is no number or a row has another number of columns; the text names file and line.
    """
    lead = n_labels + has_weights
    tables = []
    for path in paths:
        rows = _rows(path, delimiter, shown(path, folder))
        if not rows.size:
            continue
        if rows.shape[1] < lead:
            raise FormatError(
                f"{shown(path, folder)} has {rows.shape[1]} columns, fewer than the {lead} before features"
            )
        tables.append(
            Table(
                np.ascontiguousarray(rows[:, lead:]),
                rows[:, 0].copy() if n_labels else None,
                rows[:, n_labels].copy() if has_weights else None,
                name=shown(path, folder),
            )
        )
    return concatenate(tables)


def _rows(path: Path, delimiter: str | None, name: str) -> NDArray[np.float32]:
    """Read one file whole, shape (n_rows, n_columns); empty where the file is."""
    with path.open("rb") as stream:
        text = stream.read()
    first = text.lstrip()[:4096].split(b"\n", 1)[0]
    if not first:
        return np.zeros((0, 0), np.float32)
    return parse(text, delimiter or sniff(first), name)


def parse(text: bytes, delimiter: str, name: str, first_line: int = 1) -> NDArray[np.float32]:
    """Read whole lines, shape (n_rows, n_columns); of a large file, `name` and `first_line` say which.

    Raises
    ------
    FormatError
        A field is no number, or a row has another number of columns than the first.
    """
    text = text.removeprefix(_BOM)
    if len(text) > SHORT and (rows := _compiled(text, delimiter)) is not None:
        return rows
    stream = io.BytesIO(text)
    try:
        with np.errstate(over="ignore"):
            return np.loadtxt(
                stream, np.float32, comments=None, delimiter=None if delimiter == " " else delimiter, ndmin=2
            )
    except ValueError:
        if len(text) > SHORT and (rows := _with_gaps(text, delimiter)) is not None:
            return rows
        return _careful(text, delimiter, name, first_line)


def _compiled(text: bytes, delimiter: str) -> NDArray[np.float32] | None:
    """Read plain rows by a compiled loop; None where none pays, or something is not plain."""
    from clary.toolkit.kernels import csv as kernels  # noqa: PLC0415 - it reads by this module where it must

    if delimiter == " " or not (len(text) >= LARGE_BYTES or kernels.is_loaded()):
        return None
    if kernels.compiled() is None:
        return None
    n_columns = text[: text.find(b"\n")].count(delimiter.encode()) + 1
    rows = np.empty((text.count(b"\n") + 1, n_columns), np.float32)
    n_rows = kernels.parse(text, rows, ord(delimiter))
    return rows[:n_rows] if n_rows > 0 else None


def _with_gaps(text: bytes, delimiter: str) -> NDArray[np.float32] | None:
    """Read rows with empty fields at C's speed; None where something else is wrong too."""
    import pandas as pd  # noqa: PLC0415 - 300 ms that clean data need not pay

    if delimiter == " " or b'"' in text:
        return None
    lines = [line for line in text.split(b"\n") if line.strip()]
    n_delimiters = lines[0].count(delimiter.encode())
    if n_delimiters >= _WIDE:
        return None
    if any(line.count(delimiter.encode()) != n_delimiters for line in lines):  # pandas would fill short rows
        return None
    try:
        frame = pd.read_csv(
            io.BytesIO(text),
            sep=delimiter,
            header=None,
            dtype=np.float32,
            skipinitialspace=True,
            encoding="utf-8-sig",
        )
    except (ValueError, OverflowError):
        return None
    return np.ascontiguousarray(frame.to_numpy())


def _careful(text: bytes, delimiter: str, name: str, first_line: int = 1) -> NDArray[np.float32]:
    """Read what the fast reader refuses: empty fields, quotes, `NA`; or say what is wrong, and where."""
    rows: list[list[float]] = []
    for number, line in _lines(text, first_line):
        fields = _fields(line, delimiter)
        try:
            row = [_value(field) for field in fields]
        except ValueError:
            raise FormatError(_complaint(name, number, fields, delimiter)) from None
        if rows and len(row) != len(rows[0]):
            raise FormatError(
                f"{name}, line {number} has {len(row)} columns, and the lines before it {len(rows[0])}"
            )
        rows.append(row)
    with np.errstate(over="ignore"):
        return np.array(rows, np.float32)


def _lines(text: bytes, first: int) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(text.removeprefix(_BOM).split(b"\n"), first):
        line = line.rstrip(b"\r")  # noqa: PLW2901 - of Windows' line ends
        if line.strip():
            yield number, line


def _fields(line: bytes, delimiter: str) -> list[bytes]:
    return line.split() if delimiter == " " else line.split(delimiter.encode())


def _value(field: bytes) -> float:
    try:
        return float(field)
    except ValueError:
        plain = field.strip().strip(b'"').strip()
        return math.nan if plain.lower() in _MISSING else float(plain)


def _complaint(name: str, number: int, fields: list[bytes], delimiter: str) -> str:
    wrong = []
    for place, field in enumerate(fields, 1):
        try:
            _value(field)
        except ValueError:
            wrong.append((place, field))
    place, field = wrong[0]
    text = field[:50].decode("utf-8", "replace").strip()
    complaint = f"{name}, line {number}: column {place} is {text!r}, not a number (delimiter {delimiter!r})"
    if number == 1 and len(wrong) * 2 > len(fields):
        complaint += "; the first line looks like a header, and CSV data has none"
    return complaint


def n_columns(body: bytes, delimiter: str | None = None) -> int:
    """Count the columns of a request's first line, long before `decode` would be through with it."""
    line = body.strip().partition(b"\n")[0]
    mark = delimiter or sniff(line[:4096])
    return len(line.split()) if mark == " " else line.count(mark.encode()) + 1


def decode(body: bytes, delimiter: str | None = None) -> NDArray[np.float32]:
    """Decode the rows of a request.

    Returns
    -------
    ndarray, shape (n_rows, n_columns)
        Float32, C order, NaN where a field is empty.

    Raises
    ------
    FormatError
        A field is no number, a row has another number of columns than the first, or there is none.
    """
    text = body.strip()
    if not text:
        raise FormatError("request has no rows")
    if len(text) > SHORT:
        return parse(text, delimiter or sniff(text[:4096].split(b"\n", 1)[0]), "request")
    comma = b","
    if delimiter not in {None, ","} or comma not in body:
        comma = (delimiter or sniff(text.split(b"\n", 1)[0])).encode()
    try:
        if b"\n" not in text:
            return np.fromiter(map(float, text.split(comma)), np.float32).reshape(1, -1)
        lines = text.split(b"\n")
        n_commas = lines[0].count(comma)
        if all(line.count(comma) == n_commas for line in lines):
            flat = np.fromiter(map(float, comma.join(lines).split(comma)), np.float32)
            return flat.reshape(len(lines), -1)
    except ValueError:
        pass
    return _careful(text, comma.decode(), "request")


def encode(rows: Iterable[Any]) -> bytes:
    r"""Encode rows of values, each ended by `\n`; a row may be a number or a sequence."""
    lines = [
        ",".join(map(str, row)) if isinstance(row, list | tuple | np.ndarray) else str(row) for row in rows
    ]
    return ("\n".join(lines) + "\n").encode() if lines else b""
