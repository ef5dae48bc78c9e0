"""Small trainings of DeepAR that print all its metrics; series are drawn with a seed."""

from __future__ import annotations

import json
import math
import random
from typing import Any

from clary.algorithms.base import Example

_N_STEPS = 60


def _series(n_series: int, seed: int, *, kind: str, n_ahead: int = 0) -> tuple[bytes, ...]:
    """Return series with a week in them, of the kind that a likelihood takes."""
    draw = random.Random(seed)  # noqa: S311 - example data
    rows = []
    for number in range(n_series):
        n_steps = _N_STEPS + draw.randrange(10)
        share = [
            0.5 + 0.3 * math.sin(2 * math.pi * step / 7) + draw.gauss(0, 0.03) for step in range(n_steps)
        ]
        values: list[float | None] = [round(min(max(each, 0.01), 0.99), 4) for each in share]
        if kind == "counts":
            values = [max(0, round(20 * each)) for each in share]
        if kind == "numbers":
            values = [round(5 * (1 + number % 2) * each, 4) for each in share]
            values[3] = None
        record: dict[str, Any] = {"start": f"2024-01-{1 + number % 9:02} 00:00:00", "target": values}
        if kind == "numbers":
            record["cat"] = [number % 2]
            record["dynamic_feat"] = [[float(step % 5 == 0) for step in range(n_steps + n_ahead)]]
        rows.append((json.dumps(record) + "\n").encode())
    return tuple(rows)


def _example(likelihood: str, kind: str, doc: str) -> Example:
    return Example(
        name=likelihood,
        doc=doc,
        hyperparameters={
            "time_freq": "D",
            "context_length": "7",
            "prediction_length": "7",
            "epochs": "1",
            "mini_batch_size": "8",
            "num_cells": "6",
            "likelihood": likelihood,
        },
        content_type="application/jsonlines",
        channels={"train": _series(6, 1, kind=kind), "test": _series(3, 2, kind=kind)},
        metrics=(
            "test:RMSE",
            "test:mean_wQuantileLoss",
            "train:final_loss",
            "train:loss",
            "train:loss:batch",
            "train:progress",
            "train:throughput",
        ),
        request_type="application/jsonlines",
        requests=_series(3, 3, kind=kind, n_ahead=7),
    )


EXAMPLES = (
    _example("student-T", "numbers", "Categories, a dynamic feature, missing values."),
    _example("gaussian", "counts", "Whole numbers under a smooth likelihood."),
    _example("negative-binomial", "counts", "Counts."),
    _example("beta", "shares", "Numbers between 0 and 1."),
    _example("deterministic-L1", "numbers", "No uncertainty."),
)
"""All of them."""
