"""Predictions in files, and the options by which a job or a command says what they are."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from clary.toolkit import evaluation
from clary.toolkit.evaluation.base import N_RESAMPLES, Evaluation
from clary.toolkit.features import Table

INPUT = "/opt/ml/processing/input"
OUTPUT = "/opt/ml/processing/evaluation"


def read(source: str | Path, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return all rows of a file or folder of CSV or Parquet.

    Parameters
    ----------
    columns : sequence of str, optional
        Names, for CSV without a header line.
    """
    table = Table(source, columns=columns, header=columns is None)
    return pd.concat([rows for rows, _ in table], ignore_index=True)


def costs_of(text: str) -> Any:
    """Return costs given as JSON or as the path of a file of it; None for no text."""
    if not text:
        return None
    given = text.strip()
    if given.startswith(("{", "[")):
        return json.loads(given)
    return json.loads(Path(given).read_text())


def arguments() -> argparse.ArgumentParser:
    """Return the options of an evaluation as a processing job takes them."""
    parser = argparse.ArgumentParser(prog="evaluate", description="Judge predictions.")
    parser.add_argument("--input", default=INPUT, help="file or folder of CSV or Parquet")
    parser.add_argument("--output", default=OUTPUT)
    parser.add_argument(
        "--kind", default="", help=f"one of {', '.join(evaluation.kinds())}; default: as it looks"
    )
    parser.add_argument("--columns", default="", help="names, with commas, where CSV has no header line")
    parser.add_argument("--label", default="label")
    parser.add_argument("--score", default="score", help="column, or one a class, with commas")
    parser.add_argument("--weight", default="")
    parser.add_argument("--group", default="", help="column of the query, for ranking")
    parser.add_argument("--slice", action="append", default=[], help="column to look at value by value")
    parser.add_argument("--costs", default="", help="JSON, or the path of a file of it")
    parser.add_argument("--positive", default="1", help="label of the class that scores speak of")
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--resamples", type=int, default=N_RESAMPLES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--title", default="Evaluation")
    return parser


def run(given: argparse.Namespace) -> Evaluation:
    """Judge the rows of files, and write what came out.

    Raises
    ------
    ValueError, CustomerError
        The files or their columns cannot be judged; the text names them.
    """
    names = [each for each in given.columns.split(",") if each] or None
    rows = read(given.input, columns=names)
    found = evaluation.evaluate(
        rows,
        kind=given.kind,
        label=given.label,
        score=tuple(given.score.split(",")),
        weight=given.weight,
        group=given.group,
        slices=tuple(given.slice),
        costs=costs_of(given.costs),
        positive=given.positive,
        threshold=given.threshold,
        n_resamples=given.resamples,
        seed=given.seed,
    )
    found.write(given.output, title=given.title)
    return found
