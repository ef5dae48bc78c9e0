"""Fitted rows and pipelines as files: tables for training, a model container's first stage."""

# ruff: noqa: N806 - scikit-learn's names

import json
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from clary.toolkit.features import _serving
from clary.toolkit.features._blocks import Table
from clary.toolkit.features._fitting import through
from clary.toolkit.features.base import Replay

MODEL = "features.joblib"


def transform_in_blocks(
    fitted: Any, table: Table, into: str | Path, *, is_training: bool = False, header: bool = False
) -> int:
    """Write the transformed rows of a table; return how many.

    The label comes first, as SageMaker's algorithms read it.

    Parameters
    ----------
    into : path
        A `.csv` or `.parquet` file.
    is_training : bool
        The rows are those that were fitted: outliers are left out, target encodings are out of fold.
    header : bool
        Begin a CSV with the names of its columns.
    """
    path = Path(into)
    path.parent.mkdir(parents=True, exist_ok=True)
    n_rows = 0
    write = _parquet if path.suffix == ".parquet" else _csv
    with write(path, header=header) as writer:
        for rows in transformed(fitted, table, is_training=is_training):
            writer(rows)
            n_rows += len(rows)
    return n_rows


def transformed(fitted: Any, table: Table, *, is_training: bool = False) -> Iterator[pd.DataFrame]:
    """Yield the transformed blocks of a table, the label first."""
    steps = fitted.steps if isinstance(fitted, Pipeline) else [("", fitted)]
    seen = Replay()
    for X, y in table:
        if is_training:
            with seen:
                values, labels = through(steps, X, y)
        else:
            with nullcontext():
                values, labels = fitted.transform(X), y
        rows = as_frame(values, fitted)
        if labels is not None:
            rows.insert(0, table.target or "target", np.asarray(labels))
        yield rows


def as_frame(values: Any, fitted: Any) -> pd.DataFrame:
    """Return transformed rows with the names of their columns."""
    if isinstance(values, pd.DataFrame):
        return values.reset_index(drop=True)
    dense = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
    return pd.DataFrame(dense, columns=[str(each) for each in fitted.get_feature_names_out()])


class _csv:  # noqa: N801 - used as a function
    def __init__(self, path: Path, *, header: bool) -> None:
        self._file = path.open("w", newline="")
        self._header = header

    def __enter__(self) -> "_csv":
        return self

    def __call__(self, rows: pd.DataFrame) -> None:
        rows.to_csv(self._file, header=self._header, index=False)
        self._header = False

    def __exit__(self, *_: object) -> None:
        self._file.close()


class _parquet:  # noqa: N801 - used as a function
    def __init__(self, path: Path, *, header: bool) -> None:
        del header
        self._path = path
        self._writer: Any = None

    def __enter__(self) -> "_parquet":
        return self

    def __call__(self, rows: pd.DataFrame) -> None:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415 - an extra

        schema = None if self._writer is None else self._writer.schema
        found = pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
        if self._writer is None:
            self._writer = parquet.ParquetWriter(self._path, found.schema)
        self._writer.write_table(found)

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()


def export(fitted: Any, folder: str | Path) -> Path:
    """Write a fitted pipeline as a model container's stage; return its `model.tar.gz`.

    The archive holds `features.joblib`, `columns.json` and `code/inference.py`, script mode for the
    scikit-learn image: CSV, JSON or NPY rows in, transformed rows out, fit for the next container.

    Parameters
    ----------
    folder : path
        Made where it is missing; `/opt/ml/processing/output/…` in a processing job.
    """
    root = Path(folder)
    (root / "code").mkdir(parents=True, exist_ok=True)
    joblib.dump(fitted, root / MODEL)
    types = getattr(fitted, "input_types_", {})
    names = list(types) or [str(each) for each in getattr(fitted, "feature_names_in_", ())]
    columns = {"names": names, "types": types, "out": [str(each) for each in fitted.get_feature_names_out()]}
    (root / "columns.json").write_text(json.dumps(columns, indent=1))
    shutil.copyfile(_serving.__file__, root / "code/inference.py")
    archive = root / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in (MODEL, "columns.json", "code/inference.py"):
            tar.add(root / name, name)
    return archive
