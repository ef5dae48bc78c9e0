"""Where the first row lies that a model cannot learn from: looked for once something was refused."""

from __future__ import annotations

import gzip
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms.xgboost import _data
from clary.toolkit.formats import csv, libsvm
from clary.toolkit.formats.base import MediaType, shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from clary.algorithms.base import Source
    from clary.toolkit.formats.base import Table

_LINES = ("", *csv.CONTENT_TYPES, *libsvm.CONTENT_TYPES)
_SHARES = ("binary:logistic", "binary:logitraw", "binary:hinge", "reg:logistic")
_AMOUNTS = ("count:poisson", "reg:gamma", "reg:tweedie", "rank:ndcg", "rank:map")


def first(source: Source, objective: str, n_classes: int, *, has_weights: bool) -> str:
    """Return where the first such row is, and what is wrong with it.

    Parameters
    ----------
    n_classes : int
        Of the multi: objectives.

    Returns
    -------
    str
        `train/part-0, line 12: label 7`; empty where no row is, and of Pipe mode, whose rows are gone.
    """
    if source.mode == "Pipe":
        return ""
    folder = source.path if source.path.is_dir() else None
    for path in _data.files_of(source):
        table = _data.read(replace(source, path=path), has_weights=has_weights)
        if (flaw := _flaw(table, objective, n_classes)) is not None:
            return f"{shown(path, folder)}, {_place(source, path, flaw[0])}: {flaw[1]}"
    return ""


def _flaw(table: Table, objective: str, n_classes: int) -> tuple[int, str] | None:
    """Return the number of the row, and what is wrong with it."""
    labels = table.labels
    if labels is not None and labels.size:
        allowed, wanted = _rule(objective, n_classes)
        with np.errstate(invalid="ignore"):
            wrong = np.flatnonzero(~(np.isfinite(labels) & allowed(labels)))
        if wrong.size:
            return int(wrong[0]), f"label {labels[wrong[0]]:g}; {objective} learns {wanted}"
    features = table.features
    is_dense = isinstance(features, np.ndarray)
    wrong = np.flatnonzero(np.isinf(features if is_dense else features.data))
    if not wrong.size:
        return None
    row = (
        wrong[0] // features.shape[1] if is_dense else np.searchsorted(features.indptr, wrong[0], "right") - 1
    )
    return int(row), "an infinite value; a missing one is left empty"


def _rule(objective: str, n_classes: int) -> tuple[Callable[[Any], Any], str]:
    """Return what allows labels of an objective, and its words."""
    if objective in _SHARES:
        return lambda labels: (labels >= 0) & (labels <= 1), "labels from 0 to 1"
    if objective.startswith("multi:"):
        return (
            lambda labels: (labels >= 0) & (labels < n_classes) & (labels == np.floor(labels)),
            f"integers from 0 to {n_classes - 1}",
        )
    if objective in _AMOUNTS:
        return lambda labels: labels >= 0, "labels that are not below 0"
    return lambda labels: np.ones(len(labels), bool), "finite numbers"


def _place(source: Source, path: Path, row: int) -> str:
    if MediaType.parse(source.content_type).name not in _LINES:
        return f"row {row}"
    content = path.read_bytes()
    if content.startswith(_data.GZIP):
        content = gzip.decompress(content)
    lines = (number for number, line in enumerate(content.split(b"\n"), 1) if _counts(line))
    return f"line {next(islice(lines, row, None))}"


def _counts(line: bytes) -> bool:
    return bool(line.partition(b"#")[0].strip())
