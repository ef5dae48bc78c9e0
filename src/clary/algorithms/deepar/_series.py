"""Time series of a channel or a request: JSON Lines, gzip or not, and Parquet."""

from __future__ import annotations

import dataclasses
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms._feed import files_of
from clary.algorithms._lines import lines_of
from clary.kernel.errors import CustomerError
from clary.toolkit.formats.base import shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from clary.algorithms.base import Source
    from clary.algorithms.deepar._clock import Clock

_PARQUET = b"PAR1"
_MEMBERS = ("start", "target", "cat", "dynamic_feat")


class SeriesError(ValueError):
    """A record is no time series; the text says why."""


@dataclass(frozen=True)
class Series:
    """One time series."""

    place: int
    """Unit of time of the first value."""
    target: NDArray[np.float32]
    """Shape (n_steps,); NaN where a value is missing."""
    cat: tuple[int, ...] = ()
    dynamic: NDArray[np.float32] | None = None
    """Shape (n_features, n_steps or more)."""

    def __len__(self) -> int:
        return len(self.target)

    @property
    def mark(self) -> tuple[int, int, int, tuple[int, ...]]:
        """What series are put into one order by."""
        return self.place, len(self), zlib.crc32(self.target.tobytes()), self.cat


def series_of(record: Any, clock: Clock) -> Series:
    """Read one record.

    Raises
    ------
    SeriesError
        A member is missing or not what it should be.
    """
    if not isinstance(record, dict) or "start" not in record or "target" not in record:
        raise SeriesError('must be {"start": "YYYY-MM-DD HH:MM:SS", "target": [numbers]}')
    try:
        place = clock.place(str(record["start"]))
    except ValueError as error:
        raise SeriesError(
            f"start is {record['start']!r}, and must be a time without a zone as 2009-11-01 00:00:00"
        ) from error
    cat = record.get("cat")
    cat = [] if cat is None else list(cat) if isinstance(cat, list | tuple) else [cat]
    if not all(type(each) is int and each >= 0 for each in cat):
        raise SeriesError(f"cat is {record['cat']!r}, and must be a list of integers from 0 on")
    dynamic = record.get("dynamic_feat")
    return Series(
        place,
        _numbers(record["target"], "target", has_gaps=True),
        tuple(cat),
        None if dynamic is None or not len(dynamic) else _table(dynamic),
    )


def _numbers(values: Any, name: str, *, has_gaps: bool = False) -> NDArray[np.float32]:
    if not isinstance(values, list):
        raise SeriesError(f"{name} must be a list of numbers")
    wrong = next((each for each in values if not _is_number(each, has_gaps=has_gaps)), None)
    if wrong is not None or (None in values and not has_gaps):
        raise SeriesError(f"{name} has {wrong!r}, which is no number")
    found = np.array([np.nan if each is None else each for each in values], np.float64)
    return found.astype(np.float32)


def _is_number(value: Any, *, has_gaps: bool) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return bool(np.isfinite(value)) or (has_gaps and value != value)  # noqa: PLR0124 - only NaN is not itself
    return has_gaps and (value is None or value == "NaN")


def _table(values: Any) -> NDArray[np.float32]:
    if not isinstance(values, list) or not all(isinstance(each, list) for each in values):
        raise SeriesError("dynamic_feat must be a list of lists of numbers")
    rows = [_numbers(each, "dynamic_feat") for each in values]
    if len({len(each) for each in rows}) > 1:
        raise SeriesError("dynamic_feat must have lists of one length")
    return np.stack(rows)


def read(source: Source, clock: Clock) -> list[Series]:
    """Read a channel, in an order that files do not change.

    Raises
    ------
    CustomerError
        A record is no time series, which the text names by file and line; or there is none.
    """
    found: list[Series] = []
    for path in files_of(source):
        with path.open("rb") as stream:
            is_parquet = stream.read(4) == _PARQUET
        records = _parquet(source, path) if is_parquet else _lines(source, path)
        for where, record in records:
            try:
                found.append(series_of(record, clock))
            except SeriesError as error:
                raise CustomerError(
                    f"Unable to read data channel '{source.name}': {where}: {error}"
                ) from error
    if not found:
        raise CustomerError(f"No data in channel {source.name}: it has no series")
    return sorted(found, key=lambda each: each.mark)


def _lines(source: Source, path: Path) -> Iterator[tuple[str, Any]]:
    name = shown(path, source.path if source.path.is_dir() else None)
    for block in lines_of(dataclasses.replace(source, path=path)):
        for place, line in enumerate(block.lines):
            if line.strip():
                where = f"{name}, line {block.first + place}"
                try:
                    yield where, json.loads(line)
                except ValueError as error:
                    raise CustomerError(
                        f"Unable to read data channel '{source.name}': {where}: it is not JSON: {error}"
                    ) from error


def _parquet(source: Source, path: Path) -> Iterator[tuple[str, Any]]:
    try:
        from pyarrow import parquet  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise CustomerError("Parquet data needs pyarrow: pip install 'clary[parquet]'") from error

    name = shown(path, source.path if source.path.is_dir() else None)
    try:
        with parquet.ParquetFile(path) as file:
            columns = [each for each in file.schema_arrow.names if each in _MEMBERS]
            number = 0
            for batch in file.iter_batches(batch_size=1024, columns=columns):
                for record in batch.to_pylist():
                    number += 1
                    yield f"{name}, row {number}", record
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors and OSErrors
        raise CustomerError(
            f"Unable to read data channel '{source.name}': {name} is not a Parquet file: {error}"
        ) from error
