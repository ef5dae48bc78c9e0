"""What every format reads into, and how a content type is taken apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray


Matrix: TypeAlias = Any
"""Shape (n_rows, n_columns), float32: an ndarray, C order, NaN where missing, or a SciPy CSR matrix."""


class FormatError(ValueError):
    """The bytes are not what their content type says; the text is for the customer."""


@dataclass(frozen=True, slots=True)
class MediaType:
    """A content type: `text/csv; label_size=1`."""

    name: str
    """Lower case, without parameters; empty when there was none."""
    parameters: Mapping[str, str]

    @classmethod
    def parse(cls, text: str | None) -> MediaType:
        """Take a `Content-Type` or one member of an `Accept` apart."""
        return _media_type(text or "")


@lru_cache(maxsize=256)
def _media_type(text: str) -> MediaType:
    name, _, rest = text.partition(";")
    parameters = {}
    while rest:
        key, equals, rest = rest.partition("=")
        if not equals:
            break
        rest = rest.lstrip(" ")
        if rest.startswith('"'):
            value, _, rest = rest[1:].partition('"')
            rest = rest.partition(";")[2]
        elif rest.startswith(";"):
            value, rest = ";", rest[1:].partition(";")[2]  # `delimiter=;`, unquoted, as people write it
        else:
            value, _, rest = rest.partition(";")
            value = value.strip(" \r\n")
        parameters[key.strip(" ;\t").lower()] = value
    return MediaType(name.strip().lower(), parameters)


@dataclass(slots=True)
class Table:
    """Rows to learn from or to measure on."""

    features: Matrix
    labels: NDArray[np.float32] | None = None
    """Shape (n_rows,)."""
    weights: NDArray[np.float32] | None = None
    """Shape (n_rows,)."""
    groups: NDArray[np.int64] | None = None
    """Query of each row, shape (n_rows,), for ranking."""
    name: str = ""
    """The file that the rows are of, where it is one."""

    @property
    def n_rows(self) -> int:
        """Rows."""
        return int(self.features.shape[0])

    @property
    def n_columns(self) -> int:
        """Features a row."""
        return int(self.features.shape[1])


def concatenate(tables: Iterable[Table]) -> Table:
    """Put tables under each other; sparse ones are widened to the widest.

    Raises
    ------
    FormatError
        Some have labels, weights or queries and others have none, or dense ones differ in width; the text
        names the first that differs.
    """
    parts = [table for table in tables if table.n_rows]
    if not parts:
        return Table(np.zeros((0, 0), np.float32), np.zeros(0, np.float32))
    if len(parts) == 1:
        return parts[0]
    return Table(
        features=_stack(parts),
        labels=_joined("labels", [part.labels for part in parts]),
        weights=_joined("weights", [part.weights for part in parts]),
        groups=_joined("queries", [part.groups for part in parts]),
    )


def _stack(parts: list[Table]) -> Matrix:
    matrices = [part.features for part in parts]
    if all(isinstance(matrix, np.ndarray) for matrix in matrices):
        first = parts[0]
        for part in parts:
            if part.n_columns != first.n_columns:
                raise FormatError(
                    f"{part.name or 'a file'} has {part.n_columns} features, "
                    f"and {first.name or 'one before it'} has {first.n_columns}"
                )
        return np.concatenate(matrices)
    from scipy import sparse  # noqa: PLC0415 - 40 ms that dense data need not pay

    width = max(matrix.shape[1] for matrix in matrices)
    widened = []
    for matrix in matrices:
        wide = sparse.csr_matrix(matrix)
        wide.resize((wide.shape[0], width))
        widened.append(wide)
    return sparse.vstack(widened, format="csr", dtype=np.float32)


def _joined(what: str, columns: list[NDArray[Any] | None]) -> NDArray[Any] | None:
    present = [column for column in columns if column is not None]
    if not present:
        return None
    if len(present) != len(columns):
        raise FormatError(f"some files have {what} and others have none")
    return np.concatenate(present)


def shown(path: Path, folder: Path | None = None) -> str:
    """Return a file's name as a customer knows it: `train/part-0.csv` for one in a channel's folder."""
    if folder is not None and path.is_relative_to(folder.parent):
        return str(path.relative_to(folder.parent))
    return path.name
