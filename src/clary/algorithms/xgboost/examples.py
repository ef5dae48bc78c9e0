"""Small trainings that together print every metric of XGBoost; the rows are drawn from a seeded generator."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from clary.algorithms.base import Example

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_N_ROWS = 120
_N_COLUMNS = 4
_FAST = {"num_round": "4", "max_depth": "3", "seed": "7", "nthread": "1"}


def _rows(
    label: Callable[[Sequence[float], random.Random], float], seed: int
) -> list[tuple[float, list[float]]]:
    draw = random.Random(seed)  # noqa: S311 - example data
    rows = []
    for _ in range(_N_ROWS):
        features = [round(draw.uniform(-1, 1), 4) for _ in range(_N_COLUMNS)]
        rows.append((label(features, draw), features))
    return rows


def _csv(rows: Sequence[tuple[float, list[float]]]) -> tuple[bytes, ...]:
    return tuple(f"{label:g},{','.join(map(str, features))}\n".encode() for label, features in rows)


def _libsvm(rows: Sequence[tuple[float, list[float]]]) -> tuple[bytes, ...]:
    return tuple(
        f"{label:g} qid:{number // 12} {_pairs(features)}\n".encode()
        for number, (label, features) in enumerate(rows)
    )


def _pairs(features: Sequence[float]) -> str:
    return " ".join(f"{column}:{value}" for column, value in enumerate(features))


def _example(
    name: str,
    doc: str,
    label: Callable[[Sequence[float], random.Random], float],
    metrics: tuple[str, ...],
    *,
    is_sparse: bool = False,
    shuffle_tolerance: float = 1e-5,
    **hyperparameters: str,
) -> Example:
    train, validation, asked = _rows(label, 1), _rows(label, 2), _rows(label, 3)[:9]
    written = _libsvm if is_sparse else _csv
    return Example(
        name=name,
        doc=doc,
        hyperparameters={**_FAST, **hyperparameters, "eval_metric": ",".join(metrics)},
        content_type="text/libsvm" if is_sparse else "text/csv",
        channels={"train": written(train), "validation": written(validation)},
        metrics=tuple(f"{channel}:{metric}" for channel in ("train", "validation") for metric in metrics),
        request_type="text/libsvm" if is_sparse else "text/csv",
        requests=tuple(
            (_pairs(features) if is_sparse else ",".join(map(str, features))).encode()
            for _, features in asked
        ),
        shuffle_tolerance=shuffle_tolerance,
    )


def _is_high(features: Sequence[float], _: random.Random) -> float:
    return float(features[0] + features[1] * features[2] > 0)


def _third(features: Sequence[float], _: random.Random) -> float:
    return float(math.floor((features[0] + 1) * 1.4999))


def _amount(features: Sequence[float], draw: random.Random) -> float:
    return round(math.exp(features[0] + features[1]) + draw.uniform(0.01, 0.1), 4)


def _relevance(features: Sequence[float], _: random.Random) -> float:
    return float(features[0] + features[1] > 0.3)


EXAMPLES = (
    _example(
        "binary",
        "Two classes.",
        _is_high,
        (
            "auc",
            "aucpr",
            "error",
            "logloss",
            "accuracy",
            "balanced_accuracy",
            "f1",
            "f1_binary",
            "f1_macro",
            "precision",
            "precision_macro",
            "precision_micro",
            "recall",
            "recall_macro",
            "recall_micro",
        ),
        objective="binary:logistic",
    ),
    _example(
        "multiclass",
        "Three classes.",
        _third,
        ("merror", "mlogloss", "accuracy", "f1_macro"),
        objective="multi:softprob",
        num_class="3",
    ),
    _example(
        "regression",
        "A number.",
        _amount,
        ("rmse", "mae", "mape", "mphe", "rmsle", "mse", "r2"),
        objective="reg:linear",
    ),
    _example(
        "counts",
        "A positive number, by likelihood.",
        _amount,
        ("poisson-nloglik", "gamma-nloglik", "gamma-deviance", "tweedie-nloglik"),
        objective="reg:tweedie",
    ),
    _example(
        "ranking",
        "The order of documents for a query; sparse rows.",
        _relevance,
        ("ndcg", "map"),
        is_sparse=True,
        shuffle_tolerance=0.5,  # the first round has only ties, which the library breaks by the rows' places
        objective="rank:ndcg",
    ),
    _example(
        "hazard", "Time until an event, its hazard.", _amount, ("cox-nloglik",), objective="survival:cox"
    ),
    _example(
        "lifetime",
        "Time until an event, its logarithm.",
        _amount,
        ("aft-nloglik", "interval-regression-accuracy"),
        objective="survival:aft",
        aft_loss_distribution="normal",
        aft_loss_distribution_scale="1.2",
    ),
)
"""All of them."""
