"""Tables larger than memory: CSV and Parquet files, read block by block, as often as wanted."""

import gzip
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from clary.kernel.errors import CustomerError

ROWS = 100_000
"""Rows of a block."""
ENDINGS = (".csv", ".csv.gz", ".parquet")
Block = tuple[pd.DataFrame, "NDArray[Any] | None"]


class Table:
    """Rows of one or several files, with a label or none; each iteration reads them anew.

    Parameters
    ----------
    source : path or paths
        Files, or folders whose CSV and Parquet files are read in the order of their names.
    target : str, optional
        Column of the label; it is left out of the features.
    columns : sequence of str, optional
        Features to read; all without. For CSV without a header line, the names of all columns.
    header : bool
        Whether CSV files begin with names.
    rows : int
        Rows of a block.
    dtype : mapping, optional
        Types of CSV columns that one block alone would tell wrongly, such as `{"zip": str}`.
    """

    def __init__(
        self,
        source: str | Path | Iterable[str | Path],
        *,
        target: str | None = None,
        columns: Sequence[str] | None = None,
        header: bool = True,
        rows: int = ROWS,
        dtype: Mapping[str, Any] | None = None,
    ) -> None:
        self.paths = _files(source)
        self.target = target
        self.columns = list(columns) if columns is not None else None
        self.header = header
        self.rows = rows
        self.dtype = dict(dtype or {})
        self.share = 0.0
        """How much of the present pass is read, in [0, 1]."""

    def __iter__(self) -> Iterator[Block]:
        """Yield the features and labels of each block.

        Raises
        ------
        CustomerError
            The label is missing, or a column is numbers in one block and text in another.
        """
        kinds: dict[str, bool] = {}
        total = sum(path.stat().st_size for path in self.paths)
        before = 0
        for path in self.paths:
            size = path.stat().st_size
            reader = _parquet if path.name.endswith(".parquet") else _csv
            for rows, share in reader(path, self):
                self._check(rows, kinds, path)
                self.share = (before + share * size) / max(total, 1)
                yield self._split(rows, path)
            before += size
        self.share = 1.0

    def _split(self, rows: pd.DataFrame, path: Path) -> Block:
        if self.target is None:
            return rows, None
        if self.target not in rows.columns:
            raise CustomerError(f"{path}: there is no column {self.target!r}; there are {list(rows.columns)}")
        return rows.drop(columns=self.target), rows[self.target].to_numpy()

    def _check(self, rows: pd.DataFrame, kinds: dict[str, bool], path: Path) -> None:
        for name in rows.columns:
            if rows[name].isna().all():
                continue
            is_number = pd.api.types.is_numeric_dtype(rows[name])
            if kinds.setdefault(name, is_number) != is_number:
                raise CustomerError(
                    f"{path}: column {name!r} is numbers in some blocks and text in others; say which it is: "
                    f"dtype={{{name!r}: str}}."
                )


def _files(source: str | Path | Iterable[str | Path]) -> list[Path]:
    given = [source] if isinstance(source, str | Path) else list(source)
    found: list[Path] = []
    for each in map(Path, given):
        if each.is_dir():
            found += sorted(path for path in each.rglob("*") if path.name.endswith(ENDINGS))
        elif each.is_file():
            found.append(each)
        else:
            raise CustomerError(f"{each} is neither a file nor a folder")
    if not found:
        raise CustomerError(f"no file in {', '.join(map(str, given))} ends with {', '.join(ENDINGS)}")
    return found


def _csv(path: Path, table: Table) -> Iterator[tuple[pd.DataFrame, float]]:
    size = max(path.stat().st_size, 1)
    names: dict[str, Any] = {"header": 0}
    if table.header:
        if table.columns is not None:
            names["usecols"] = [*table.columns, *([table.target] if table.target else [])]
    else:
        names = {"header": None, "names": table.columns}
    dtype = table.dtype or None
    with path.open("rb") as file:
        opened: Any = gzip.GzipFile(fileobj=file) if path.name.endswith(".gz") else file
        for rows in pd.read_csv(opened, chunksize=table.rows, dtype=dtype, low_memory=False, **names):
            yield rows, min(file.tell() / size, 1.0)


def _parquet(path: Path, table: Table) -> Iterator[tuple[pd.DataFrame, float]]:
    try:
        from pyarrow import parquet  # noqa: PLC0415 - an extra
    except ImportError:
        raise CustomerError(f"{path}: Parquet needs pyarrow; pip install 'clary[parquet]'") from None
    wanted = None
    if table.columns is not None:
        wanted = [*table.columns, *([table.target] if table.target else [])]
    with parquet.ParquetFile(path) as file:
        n, total = 0, max(file.metadata.num_rows, 1)
        for batch in file.iter_batches(batch_size=table.rows, columns=wanted):
            n += batch.num_rows
            yield batch.to_pandas(), n / total
