"""Prediction: how much of an anomaly every row is.

Source: developer guide, "RCF Response Formats".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from clary.algorithms import _artifact
from clary.algorithms._answers import FORMATS, REQUESTS, ColumnPredictor, Columns
from clary.algorithms.randomcutforest.forest import ARRAYS, Forest
from clary.toolkit.flat import Flat

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from clary.algorithms._rows import Scores
    from clary.toolkit.formats.base import Matrix

DENSE_BYTES = 32 << 20
"""Of sparse rows made dense, at once."""


def load(model_dir: Path, environ: Mapping[str, str]) -> ForestPredictor:
    """Load the trees.

    Raises
    ------
    CustomerError
        There are none, or the file cannot be read.
    """
    return ForestPredictor(Forest.of(_artifact.load(_artifact.find(model_dir), ARRAYS)), environ)


class ForestPredictor(ColumnPredictor):
    """A loaded forest that answers requests."""

    root: ClassVar[str] = "scores"

    def __init__(self, forest: Forest, environ: Mapping[str, str]) -> None:
        super().__init__(environ)
        self.forest = forest
        self.forest.trees  # noqa: B018 - boxes are drawn now, not during the first request

    @property
    def n_features(self) -> int:
        """Columns of a row."""
        return int(self.forest.points.shape[2])

    def score(self, rows: Matrix) -> Scores:
        """Return anomaly scores, shape (n_rows,), float32."""
        if isinstance(rows, np.ndarray):
            return self.forest.score(rows)
        step = max(1, DENSE_BYTES // (4 * self.n_features))
        parts = [self.forest.score(rows[at : at + step].toarray()) for at in range(0, rows.shape[0], step)]
        return np.concatenate(parts)

    def flat(self) -> Flat:
        """Return the trees."""
        return Flat(
            kind="cuts",
            n_features=self.n_features,
            arrays=self.forest.arrays,
            requests=REQUESTS,
            formats=FORMATS,
            forms=self.forms(np.zeros(1, np.float32)),
        )

    def columns(self, scores: Scores, *, is_verbose: bool) -> Columns:
        """Return `score`."""
        return {"score": scores}
