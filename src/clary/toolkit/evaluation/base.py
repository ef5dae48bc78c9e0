"""The seam of the kinds of evaluation: what one measured, as numbers, as a document, as a report."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Vector = NDArray[np.float64]
N_RESAMPLES = 500
"""Bootstrap samples behind each standard deviation and interval."""


@dataclass(frozen=True)
class Metric:
    """A figure, and how far it would move with other rows of the same kind."""

    value: float
    standard_deviation: float = math.nan
    low: float = math.nan
    """Lower end of the 95 % interval, by the percentiles of the bootstrap."""
    high: float = math.nan

    @classmethod
    def of(cls, value: float, samples: Vector) -> "Metric":
        """Return a figure with the spread of its bootstrap samples, undefined ones aside."""
        known = samples[np.isfinite(samples)]
        if len(known) < 2 or not math.isfinite(value):
            return cls(float(value))
        low, high = np.percentile(known, [2.5, 97.5])
        return cls(float(value), float(known.std(ddof=1)), float(low), float(high))

    @property
    def is_defined(self) -> bool:
        """Whether there is such a figure: a curve over one class has no area."""
        return math.isfinite(self.value)

    def document(self) -> dict[str, float | str]:
        """Return `value` and `standard_deviation`, as SageMaker's model quality has them."""
        known = math.isfinite(self.standard_deviation)
        return {"value": self.value, "standard_deviation": self.standard_deviation if known else "NaN"}


@dataclass(frozen=True)
class Figure:
    """A picture of the report, with what it shows in a sentence."""

    title: str
    svg: str
    text: str = ""
    is_wide: bool = False


@dataclass(frozen=True)
class Sheet:
    """A table of the report."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: str = ""
    is_matrix: bool = False
    """Cells are shaded by their share of the row: a confusion matrix."""
    shades: Sequence[Sequence[float]] = ()


@dataclass(frozen=True)
class Evaluation:
    """What a model is worth on some rows."""

    kind: str
    n_rows: int
    metrics: Mapping[str, Metric]
    quality: Mapping[str, Any]
    """What stands under `<kind>_classification_metrics` or `regression_metrics` beside the metrics."""
    extras: Mapping[str, Any] = field(default_factory=dict)
    """Costs, slices and whatever else SageMaker's form has no place for; members of the document."""
    decision: Mapping[str, Any] | None = None
    """What makes a class of scores: `decision.json`."""
    verdict: str = ""
    """The result in a sentence."""
    tiles: Sequence[tuple[str, str]] = ()
    figures: Sequence[Figure] = ()
    sheets: Sequence[Sheet] = ()
    notes: Sequence[str] = ()

    @property
    def document(self) -> dict[str, Any]:
        """Return `evaluation.json`: SageMaker's model-quality form, with members of ours beside it."""
        name = {"binary": "binary_classification_metrics", "multiclass": "multiclass_classification_metrics"}
        figures = {key: each.document() for key, each in self.metrics.items() if each.is_defined}
        intervals = {
            key: [each.low, each.high] for key, each in self.metrics.items() if math.isfinite(each.low)
        }
        return {
            "version": 0.0,
            "dataset": {"item_count": self.n_rows},
            name.get(self.kind, f"{self.kind}_metrics"): {**self.quality, **figures},
            "confidence_intervals_95": intervals,
            **self.extras,
        }

    def write(self, folder: str | Path, *, title: str = "Evaluation") -> Path:
        """Write `evaluation.json`, `report.html`, and `decision.json` if there is one; return the folder."""
        from clary.toolkit.evaluation import _report  # noqa: PLC0415 - it imports this module

        root = Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        (root / "evaluation.json").write_text(json.dumps(self.document, indent=1, allow_nan=False))
        (root / "report.html").write_text(_report.page(self, title), encoding="utf-8")
        if self.decision is not None:
            (root / "decision.json").write_text(json.dumps(self.decision, indent=1))
        return root


class Kind(Protocol):
    """A file of the folder: it judges one kind of prediction.

    Promises
    --------
    - `evaluate` gives the same figures for the same rows and seed, and its metrics equal scikit-learn's.
    - What is not defined (a curve over one class) is NaN, left out of the document, and said in the notes.
    """

    def evaluate(self, rows: pd.DataFrame, options: "Options") -> Evaluation:
        """Judge predictions."""
        ...


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which columns are what, and what errors cost."""

    label: str = "label"
    score: Sequence[str] = ("score",)
    """Column of the score; for several classes, one of the predicted class, or one a class."""
    weight: str = ""
    group: str = ""
    """Of ranking: rows of one query have the same value."""
    slices: Sequence[str] = ()
    costs: Any = None
    """As `Costs.read` takes them."""
    positive: str = "1"
    """Label of the class that scores speak of."""
    threshold: float = 0.5
    """What costs are compared with."""
    seed: int = 0
    n_resamples: int = N_RESAMPLES


def column(rows: pd.DataFrame, name: str, what: str) -> pd.Series:
    """Return a column.

    Raises
    ------
    ValueError
        There is none; the text names those there are.
    """
    if name not in rows.columns:
        raise ValueError(
            f"{what}: there is no column {name!r}; there are {', '.join(map(str, rows.columns))}"
        )
    return rows[name]


def weights_of(rows: pd.DataFrame, options: Options) -> Vector:
    """Return the weight of each row; 1 where none are given.

    Raises
    ------
    ValueError
        One is negative or missing.
    """
    if not options.weight:
        return np.ones(len(rows))
    found = column(rows, options.weight, "weight").to_numpy(dtype=np.float64)
    if not (found >= 0).all():
        raise ValueError(f"weight: column {options.weight!r} must be numbers of at least 0")
    return found


def numeric(rows: pd.DataFrame, name: str, what: str) -> Vector:
    """Return a column as numbers, none missing.

    Raises
    ------
    ValueError
        A value is missing, infinite or text; the first such row is named.
    """
    found = pd.to_numeric(column(rows, name, what), errors="coerce").to_numpy(dtype=np.float64)
    wrong = np.flatnonzero(~np.isfinite(found))
    if len(wrong):
        value = rows[name].iloc[wrong[0]]
        raise ValueError(f"{what}: column {name!r} must be numbers; row {wrong[0] + 1} has {value!r}")
    return found
