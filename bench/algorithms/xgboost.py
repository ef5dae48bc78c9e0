"""XGBoost: a whole training beside the library's own, and Parquet beside pyarrow's way to a matrix.

The library gets arrays in memory; ours reads files, whose reading is taken off by itself.
"""

import contextlib
import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import xgboost
from bench._bars import Report
from bench.algorithms._trainings import clock
from pyarrow import parquet as arrow

from clary.algorithms import base
from clary.algorithms.base import Source, Training
from clary.algorithms.xgboost import _data

N_ROWS, N_COLUMNS, ROUNDS, TURNS = 80_000, 50, 50, 3
GIVEN: dict[str, Any] = {"objective": "binary:logistic", "max_depth": 6, "eval_metric": "logloss"}


def run(report: Report) -> None:
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(N_ROWS, N_COLUMNS)).astype(np.float32)
    labels = (rows[:, 0] * rows[:, 1] + rows[:, 2] + draw.normal(size=N_ROWS) > 0).astype(np.float32)
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        (folder / "train").mkdir()
        path = folder / "train/part-0.parquet"
        columns = {"label": labels, **{f"f{n}": rows[:, n] for n in range(N_COLUMNS)}}
        arrow.write_table(pyarrow.table(columns), path)
        source = Source(name="train", path=folder / "train", content_type="application/x-parquet")
        _, reading = clock(lambda: _data.read(source, has_weights=False), TURNS)
        _, theirs_reading = clock(lambda: _read_by_pyarrow(path), TURNS)
        ours, log = _ours(source, folder)
    finally:
        shutil.rmtree(folder)
    said, theirs = clock(lambda: _by_library(rows, labels), TURNS)
    report.table(
        f"XGBoost, {N_ROWS:,} rows of {N_COLUMNS}, {ROUNDS} rounds",
        ("", "CPU s", "train:logloss"),
        [
            ("clary, files and all", f"{ours:.2f}", log.rpartition("train-logloss:")[2].split()[0]),
            ("  of it reading Parquet", f"{reading:.3f}", ""),
            ("the library", f"{theirs:.2f}", f"{said['train']['logloss'][-1]:.5f}"),
            ("pyarrow's Parquet to a matrix", f"{theirs_reading:.3f}", ""),
        ],
    )
    report.bar("XGBoost: CPU seconds without reading, of the library's", (ours - reading) / theirs, 1.05, "x")
    report.bar("XGBoost: reading Parquet, of pyarrow's", reading / theirs_reading, 1, "x")


def _ours(source: Source, folder: Path) -> tuple[float, str]:
    """Return the CPU seconds of a whole training, and its log."""
    algorithm, log = base.find("xgboost"), io.StringIO()
    params = algorithm.validate({name: str(each) for name, each in {**GIVEN, "num_round": ROUNDS}.items()})
    (folder / "model").mkdir()

    def train() -> bool:
        with contextlib.redirect_stdout(log):
            algorithm.fit(
                Training(
                    params=params,
                    sources={"train": source},
                    model_dir=folder / "model",
                    output_data_dir=folder / "output",
                    n_threads=1,
                )
            )
        return True

    return clock(train, TURNS)[1], log.getvalue()


def _by_library(rows: Any, labels: Any) -> dict[str, Any]:
    matrix = xgboost.DMatrix(rows, label=labels, nthread=1)
    said: dict[str, Any] = {}
    xgboost.train(
        {**GIVEN, "nthread": 1},
        matrix,
        num_boost_round=ROUNDS,
        evals=[(matrix, "train")],
        evals_result=said,
        verbose_eval=False,
    ).save_raw("ubj")
    return said


def _read_by_pyarrow(path: Path) -> Any:
    """Read Parquet to a float32 matrix, label first, at pyarrow's best settings for one core."""
    table = arrow.read_table(path, use_threads=False)
    found = np.empty((table.num_rows, table.num_columns), np.float32)
    for place, column in enumerate(table.columns):
        found[:, place] = column.to_numpy()
    return found
