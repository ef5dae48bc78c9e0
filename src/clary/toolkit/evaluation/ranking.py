"""Rankings: scores order the rows of each query; what is relevant should stand first."""

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clary.toolkit.evaluation import _pictures, _tables
from clary.toolkit.evaluation._bootstrap import row_samples
from clary.toolkit.evaluation.base import Evaluation, Metric, Options, Vector, column, numeric

LENGTHS = (1, 3, 5, 10)
LONGEST = 20


def evaluate(rows: pd.DataFrame, options: Options) -> Evaluation:
    """Judge the order of each query's rows; `options.label` is how relevant each is, 0 for not at all."""
    relevance = numeric(rows, options.label, "label")
    if relevance.min() < 0:
        raise ValueError(f"label: column {options.label!r} is how relevant a row is; it must be at least 0")
    score = numeric(rows, options.score[0], "score")
    if not options.group:
        raise ValueError("group: rankings need the column that says which query a row belongs to")
    groups = pd.factorize(column(rows, options.group, "group"))[0]
    figures, curve = _by_query(relevance, score, groups)
    if not len(curve):
        raise ValueError(f"label: no query has a row that is relevant in column {options.label!r}")
    samples: dict[str, list[Vector]] = {name: [] for name in figures}
    curves: list[Vector] = []
    for drawn in row_samples(len(curve), options.n_resamples, options.seed):
        share = drawn / drawn.sum(axis=1, keepdims=True)
        curves.append(share @ curve)
        for name, values in figures.items():
            samples[name].append(share @ values)
    empty = np.empty(0)
    metrics = {
        name: Metric.of(float(values.mean()), np.concatenate(samples[name]) if samples[name] else empty)
        for name, values in figures.items()
    }
    mean = curve.mean(axis=0)
    spread = np.concatenate(curves) if curves else mean[None, :]
    low, high = np.percentile(spread, [2.5, 97.5], axis=0)
    longest = min(LONGEST, int(np.bincount(groups).max()))
    n_empty = int(groups.max()) + 1 - len(curve)
    return Evaluation(
        kind="ranking",
        n_rows=len(rows),
        metrics=metrics,
        quality={"n_queries": len(curve)},
        verdict=(
            f"NDCG@10 is {metrics['ndcg@10'].value:.3f} over {len(curve):,} queries; the first relevant row "
            f"stands at place {1 / max(metrics['mrr'].value, 1e-9):.1f}, by the harmonic mean."
        ),
        tiles=[
            (f"{metrics['ndcg@10'].value:.3f}", "NDCG@10"),
            (f"{metrics['map'].value:.3f}", "mean average precision"),
            (f"{metrics['mrr'].value:.3f}", "mean reciprocal rank"),
            (f"{len(curve):,}", "queries"),
        ],
        figures=[
            _pictures.at_k(mean[:longest].tolist(), low[:longest].tolist(), high[:longest].tolist()),
            _pictures.spread(figures["ndcg@10"], "NDCG@10"),
        ],
        sheets=[_tables.figures(metrics, "Figures")],
        notes=[
            f"Intervals hold 95 % of {options.n_resamples} samples of queries (seed {options.seed}).",
            *([f"{n_empty:,} queries have no relevant row and count for nothing."] if n_empty else []),
            "Relevance is the gain as it stands; for NDCG, rows of equal score share theirs.",
        ],
    )


def _by_query(relevance: Vector, score: Vector, groups: NDArray[Any]) -> tuple[dict[str, Vector], Vector]:
    """Return the figures of each query that has a relevant row, and its NDCG at every length."""
    order = np.lexsort((-score, groups))
    bounds = np.flatnonzero(np.diff(groups[order])) + 1
    rows = [each for each in np.split(order, bounds) if (relevance[each] > 0).any()]
    found: dict[str, list[float]] = {}
    curves = []
    for each in rows:
        gains = _averaged(relevance[each], score[each])
        ideal = np.sort(relevance[each])[::-1]
        discounts = 1 / np.log2(np.arange(2, len(each) + 2))
        ndcg = np.cumsum(gains * discounts) / np.cumsum(ideal * discounts)
        curve = np.append(ndcg[:LONGEST], np.full(max(LONGEST - len(ndcg), 0), ndcg[-1]))
        curves.append(curve)
        is_relevant = (relevance[each] > 0).astype(np.float64)
        hits = np.cumsum(is_relevant)
        places = np.arange(1, len(each) + 1)
        figures = {f"ndcg@{k}": float(curve[k - 1]) for k in LENGTHS}
        figures["map"] = float((hits / places * is_relevant).sum() / hits[-1])
        figures["mrr"] = 1 / (int(is_relevant.argmax()) + 1)
        figures |= {f"precision@{k}": float(hits[min(k, len(each)) - 1]) / k for k in LENGTHS}
        figures["hit_rate@10"] = float(hits[min(10, len(each)) - 1] > 0)
        for name, value in figures.items():
            found.setdefault(name, []).append(value if math.isfinite(value) else 0.0)
    return {name: np.array(values) for name, values in found.items()}, np.array(curves)


def _averaged(gains: Vector, scores: Vector) -> Vector:
    """Return gains in the order of the scores, those of equal scores averaged."""
    _, places = np.unique(-scores, return_inverse=True)
    means: Vector = (np.bincount(places, gains) / np.bincount(places))[places]
    return means
