"""Small trainings of PCA; the rows are drawn from a seeded generator."""

from __future__ import annotations

import random

from clary.algorithms.base import Example


def _rows(n_rows: int, seed: int) -> tuple[bytes, ...]:
    draw = random.Random(seed)  # noqa: S311 - example data
    lines = []
    for _ in range(n_rows):
        first, second = draw.gauss(0, 3), draw.gauss(0, 1)
        row = (first + 5, second - first, 2 * second + draw.gauss(0, 0.1), draw.gauss(100, 0.1))
        lines.append(",".join(f"{value:.4f}" for value in row) + "\n")
    return tuple(line.encode() for line in lines)


def _example(name: str, doc: str, **hyperparameters: str) -> Example:
    return Example(
        name=name,
        doc=doc,
        hyperparameters={
            "feature_dim": "4",
            "num_components": "2",
            "mini_batch_size": "100",
            **hyperparameters,
        },
        content_type="text/csv;label_size=0",
        channels={"train": _rows(300, 1), "test": _rows(30, 2)},
        metrics=(),
        request_type="text/csv",
        requests=_rows(6, 3),
        shuffle_tolerance=1e-3,
    )


EXAMPLES = (
    _example("regular", "Two components of four columns."),
    _example("randomized", "The same from a few directions.", algorithm_mode="randomized"),
    _example("about_zero", "Without centring.", subtract_mean="false"),
)
"""All of them."""
