"""Small trainings of k-NN that print all its metrics; the rows are drawn from a seeded generator."""

from __future__ import annotations

import random

from clary.algorithms.base import Example


def _rows(n_rows: int, seed: int, *, is_class: bool, has_label: bool = True) -> tuple[bytes, ...]:
    draw = random.Random(seed)  # noqa: S311 - example data
    lines = []
    for number in range(n_rows):
        group = number % 3
        row = [
            group * 4 + draw.gauss(0, 0.4),
            draw.gauss(0, 0.4),
            -group + draw.gauss(0, 0.4),
            draw.gauss(0, 1),
        ]
        label = f"{group:d}," if is_class else f"{row[0]:.3f},"
        lines.append((label if has_label else "") + ",".join(f"{value:.4f}" for value in row) + "\n")
    return tuple(line.encode() for line in lines)


def _example(name: str, doc: str, metric: str, **hyperparameters: str) -> Example:
    is_class = hyperparameters["predictor_type"] == "classifier"
    return Example(
        name=name,
        doc=doc,
        hyperparameters={"feature_dim": "4", "k": "5", "sample_size": "240", **hyperparameters},
        content_type="text/csv",
        channels={"train": _rows(240, 1, is_class=is_class), "test": _rows(30, 2, is_class=is_class)},
        metrics=(metric,),
        request_type="text/csv",
        requests=_rows(6, 3, is_class=is_class, has_label=False),
        shuffle_tolerance=1e-3,
    )


EXAMPLES = (
    _example("classes", "Three classes.", "test:accuracy", predictor_type="classifier"),
    _example("numbers", "A number.", "test:mse", predictor_type="regressor", index_metric="COSINE"),
    _example(
        "reduced",
        "Two columns instead of four.",
        "test:accuracy",
        predictor_type="classifier",
        dimension_reduction_type="sign",
        dimension_reduction_target="3",
    ),
)
"""All of them."""
