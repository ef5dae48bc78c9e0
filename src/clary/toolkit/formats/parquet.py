"""Parquet: numeric columns, label first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clary.kernel.errors import CustomerError
from clary.toolkit.formats.base import FormatError, Table, concatenate, shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CONTENT_TYPES = ("application/x-parquet", "parquet")


def read(paths: Sequence[Path], *, n_labels: int = 1, folder: Path | None = None) -> Table:
    """Read files of one channel.

    Raises
    ------
    FormatError
        Not Parquet, or a column is not numeric; the text names file and column.
    CustomerError
        pyarrow is not installed.
    """
    try:
        from pyarrow import parquet  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise CustomerError("Parquet data needs pyarrow: pip install 'clary[parquet]'") from error

    tables = []
    for path in paths:
        name = shown(path, folder)
        try:
            found = parquet.read_table(path)
        except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors and OSErrors
            raise FormatError(f"{name} is not a Parquet file: {error}") from error
        columns = [_column(found, index, name) for index in range(found.num_columns)]
        if len(columns) < n_labels:
            raise FormatError(f"{name} has no columns")
        rows = np.column_stack(columns) if columns else np.zeros((0, 0), np.float32)
        labels = rows[:, 0].copy() if n_labels else None
        tables.append(Table(np.ascontiguousarray(rows[:, n_labels:]), labels, name=name))
    return concatenate(tables)


def _column(found: Any, index: int, name: str) -> NDArray[np.float32]:
    column = found.column(index)
    try:
        return np.asarray(column.to_numpy(), dtype=np.float32)  # nulls become NaN
    except (ValueError, TypeError) as error:
        raise FormatError(
            f"{name}: column {found.column_names[index]!r} is {column.type}, not numeric"
        ) from error
