"""A small training of Random Cut Forest that prints all its metrics; its rows are drawn with a seed."""

from __future__ import annotations

import random

from clary.algorithms.base import Example


def _rows(n_rows: int, seed: int, every: int = 0) -> tuple[bytes, ...]:
    """Return lines of three columns behind a label; one of `every` is an anomaly."""
    draw = random.Random(seed)  # noqa: S311 - example data
    lines = []
    for number in range(n_rows):
        is_far = bool(every) and not number % every
        values = [draw.gauss(9 if is_far else 0, 1) for _ in range(3)]
        lines.append(f"{int(is_far)},{','.join(f'{value:.4f}' for value in values)}\n")
    return tuple(line.encode() for line in lines)


EXAMPLES = (
    Example(
        name="far_away",
        doc="A cloud of points, and some that are far away.",
        hyperparameters={"feature_dim": "3", "num_trees": "60", "num_samples_per_tree": "64"},
        content_type="text/csv;label_size=1",
        channels={"train": _rows(600, 1, 150), "test": _rows(200, 2, 40)},
        metrics=("test:f1", "test:precision", "test:recall", "test:accuracy"),
        request_type="text/csv",
        requests=tuple(line.partition(b",")[2] for line in _rows(5, 3, 4)),
        shuffle_tolerance=1e-5,
    ),
)
"""All of them."""
