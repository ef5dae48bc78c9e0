"""Evaluate: curves, confusion matrix and the cost of every threshold, of one model or of several."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from clary.console import pictures
from clary.console.pages.evaluate import _slices
from clary.console.pictures import Axis
from clary.console.visit import Context, Page, Place, Visit
from clary.kernel.errors import AwsError
from clary.toolkit.evaluation import Costs, Sweep

PAGE = Page(
    path=r"/evaluate",
    title="Evaluate",
    places=(Place("Evaluate", "1 Build", "/evaluate", 30),),
    scripts=("evaluate.js",),
    live_s=3600.0,
)
MAX_BYTES = 64 << 20
MOST_MODELS = 4
STEPS = 400
"""Places of the slider, and of a curve."""
EXAMPLE = "s3://bucket/predictions.csv"


def view(visit: Visit) -> Context:
    """Judge the predictions that the address names."""
    query = visit.query
    asked = {
        "uris": query.get("uris", ""),
        "label": query.get("label", "label"),
        "score": query.get("score", "score"),
        "positive": query.get("positive", "1"),
        "missed": query.get("missed", "100"),
        "alarm": query.get("alarm", "1"),
        "slice": query.get("slice", ""),
    }
    uris = asked["uris"].split()
    error, models = "", []
    try:
        if len(uris) > MOST_MODELS:
            raise ValueError(f"{len(uris)} files; at most {MOST_MODELS} are compared")
        costs = Costs(missed=float(asked["missed"]), alarm=float(asked["alarm"]))
        models = [_model(visit, uri, asked, costs) for uri in uris]
    except (ValueError, AwsError) as fault:
        error = str(fault)
    return {
        "asked": asked,
        "example": EXAMPLE,
        "error": error,
        "models": models,
        "together": [
            pictures.lines(title, Axis(x), Axis(y), {each["name"]: each[member] for each in models})
            for title, x, y, member in (
                ("ROC of all", "false positive rate", "recall", "roc_line"),
                ("Precision and recall of all", "recall", "precision", "pr_line"),
            )
        ]
        if len(models) > 1
        else (),
        "geometry": {
            "left": pictures.LEFT,
            "top": pictures.TOP,
            "width": pictures.WIDTH - pictures.LEFT - pictures.RIGHT,
            "height": pictures.HEIGHT - pictures.TOP - pictures.BOTTOM,
        },
    }


def _model(visit: Visit, uri: str, asked: Mapping[str, str], costs: Costs) -> dict[str, Any]:
    """Return the curves of one file of predictions, thinned, and its figures."""
    rows = _read(visit, uri)
    labels = _column(rows, asked["label"], uri).astype(str) == asked["positive"]
    scores = pd.to_numeric(_column(rows, asked["score"], uri), errors="coerce").to_numpy(np.float64)
    known = np.isfinite(scores)
    positive = labels.to_numpy(bool)[known]
    if not positive.any() or positive.all():
        raise ValueError(
            f"{uri}: every row is of one class; '{asked['positive']}' is the label of the positive class here"
        )
    sweep = Sweep.of(positive, scores[known], np.ones(known.sum()))
    best = costs.best(sweep)
    places = np.unique(np.append(np.linspace(0, len(sweep.thresholds) - 1, STEPS).astype(int), best))
    counts = sweep.counts
    threshold = float(sweep.thresholds[best])
    reliability, calibration_error = _slices.calibration(positive, scores[known])
    slices = _column(rows, asked["slice"], uri)[known] if asked["slice"] else None
    roc = _pairs(counts.false_positive_rate[places], counts.recall[places])
    pr = _pairs(counts.recall[places][1:], counts.precision[places][1:])
    curve = {name: getattr(counts, name)[places].tolist() for name in ("tp", "fp", "fn", "tn")}
    return {
        "uri": uri,
        "name": uri.rpartition("/")[2],
        "n_rows": int(known.sum()),
        "n_skipped": int((~known).sum()),
        "auc": sweep.auc,
        "average_precision": sweep.average_precision,
        "best_threshold": threshold,
        "calibration": reliability,
        "calibration_error": calibration_error,
        "slices": [] if slices is None else _slices.by(slices, positive, scores[known], costs, threshold),
        "best_cost": float(costs.of(counts)[best]),
        "half_cost": float(costs.of(counts)[int(np.searchsorted(-sweep.thresholds, -0.5, side="right")) - 1]),
        "curve": {**curve, "thresholds": sweep.thresholds[places].tolist()},
        "roc_line": roc,
        "pr_line": pr,
        "roc": pictures.scatter("ROC", Axis("false positive rate"), Axis("recall"), (), roc),
        "pr": pictures.scatter("Precision and recall", Axis("recall"), Axis("precision"), (), pr),
    }


def _pairs(across: Any, up: Any) -> list[tuple[float, float]]:
    return list(zip(across.tolist(), up.tolist(), strict=True))


def _read(visit: Visit, uri: str) -> pd.DataFrame:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not key:
        raise ValueError(f"'{uri}' is no object: {EXAMPLE} is how one is written")
    head = visit.public.head(bucket, key)
    if head.status != 200:
        raise ValueError(f"{uri} is not there")
    if int(head.headers.get("content-length", "0")) > MAX_BYTES:
        raise ValueError(f"{uri} has more than {MAX_BYTES >> 20} MiB: `clary evaluate` judges larger ones")
    content = visit.public.get(bucket, key).body
    if key.endswith(".parquet"):
        try:
            return pd.read_parquet(io.BytesIO(content))
        except ImportError:
            raise ValueError(f"{uri} is Parquet, which needs pyarrow: pip install 'clary[parquet]'") from None
    return pd.read_csv(io.BytesIO(content))


def _column(rows: pd.DataFrame, name: str, uri: str) -> pd.Series:
    if name not in rows.columns:
        raise ValueError(f"{uri} has no column '{name}'; it has: {', '.join(map(str, rows.columns[:20]))}")
    return rows[name]
