"""Small trainings of k-means that print all its metrics; the rows are drawn from a seeded generator."""

from __future__ import annotations

import random

from clary.algorithms.base import Example

_CENTRES = ((0, 0, 0), (6, 0, 1), (0, 7, -2))


def _rows(n_rows: int, seed: int) -> tuple[bytes, ...]:
    draw = random.Random(seed)  # noqa: S311 - example data
    lines = []
    for number in range(n_rows):
        centre = _CENTRES[number % len(_CENTRES)]
        lines.append(",".join(f"{value + draw.gauss(0, 0.3):.4f}" for value in centre) + "\n")
    return tuple(line.encode() for line in lines)


def _example(name: str, doc: str, tolerance: float, **hyperparameters: str) -> Example:
    return Example(
        name=name,
        doc=doc,
        hyperparameters={"feature_dim": "3", "k": "3", "mini_batch_size": "50", **hyperparameters},
        content_type="text/csv;label_size=0",
        channels={"train": _rows(240, 1), "test": _rows(30, 2)},
        metrics=("train:msd", "test:msd", "test:ssd"),
        request_type="text/csv",
        requests=_rows(6, 3),
        shuffle_tolerance=tolerance,
    )


EXAMPLES = (
    _example("clusters", "Three groups of points.", 1e-4, epochs="3", eval_metrics='["msd","ssd"]'),
    _example(
        "mini_batches",
        "The service's own way: more centres than wanted, which follow mini-batches.",
        0.3,
        extra_center_factor="4",
        init_method="kmeans++",
        eval_metrics='["msd", "ssd"]',
    ),
)
"""All of them."""
