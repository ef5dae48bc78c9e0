"""Prediction: the label that a row's nearest neighbours have.

Source: developer guide, "k-NN Request and Response Formats".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clary.algorithms._answers import ColumnPredictor, Columns
from clary.algorithms.knn import _model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from clary.algorithms._rows import Scores
    from clary.algorithms.knn._model import Neighbours
    from clary.toolkit.formats.base import Matrix


def load(model_dir: Path, environ: Mapping[str, str]) -> KnnPredictor:
    """Load index, labels and metadata; CustomerError where one is missing or broken."""
    return KnnPredictor(_model.load(model_dir), environ)


class KnnPredictor(ColumnPredictor):
    """Loaded neighbours that answer requests."""

    def __init__(self, neighbours: Neighbours, environ: Mapping[str, str]) -> None:
        super().__init__(environ)
        self._neighbours = neighbours

    @property
    def n_features(self) -> int:
        """Columns of a row."""
        return self._neighbours.vectors.n_columns

    def score(self, rows: Matrix) -> Scores:
        """Return prediction, distances and labels in one row, shape (n_rows, 1 + 2 k), float32."""
        predicted, distances, labels = self._neighbours.ask(rows)
        return np.column_stack((predicted, distances, labels)).astype(np.float32)

    def columns(self, scores: Scores, *, is_verbose: bool) -> Columns:
        """Return `predicted_label`, and of a verbose answer `distances` and `labels`, nearest first."""
        found: dict[str, Scores] = {"predicted_label": scores[:, 0]}
        if is_verbose:
            k = self._neighbours.k
            found |= {"distances": scores[:, 1 : k + 1], "labels": scores[:, k + 1 :]}
        return found
