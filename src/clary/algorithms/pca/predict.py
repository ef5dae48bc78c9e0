"""Prediction: rows projected on the components.

Source: developer guide, "PCA Response Formats".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from clary.algorithms import _artifact
from clary.algorithms._answers import FORMATS, REQUESTS, ColumnPredictor, Columns, product
from clary.kernel.errors import CustomerError
from clary.toolkit.flat import Flat

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from clary.algorithms._rows import Scores
    from clary.toolkit.formats.base import Matrix


def load(model_dir: Path, environ: Mapping[str, str]) -> PcaPredictor:
    """Load mean and components.

    Raises
    ------
    CustomerError
        There are none, or the file cannot be read.
    """
    model = _artifact.load(_artifact.find(model_dir), ("mean", "v"))
    if model["v"].ndim != 2 or model["mean"].shape != model["v"].shape[:1]:
        raise CustomerError("Unable to load model: v must have a row for each member of mean")
    return PcaPredictor(model["mean"], model["v"], environ)


class PcaPredictor(ColumnPredictor):
    """Loaded components that answer requests."""

    root: ClassVar[str] = "projections"

    def __init__(self, mean: Any, components: Any, environ: Mapping[str, str]) -> None:
        super().__init__(environ)
        self.weights = components.astype(np.float64)
        """Shape (n_features, num_components), the last column the first component."""
        self.bias = -(mean.astype(np.float64) @ self.weights)
        """Shape (num_components,): a projection is `row @ weights + bias`."""

    @property
    def n_features(self) -> int:
        """Columns of a row."""
        return len(self.weights)

    def score(self, rows: Matrix) -> Scores:
        """Return projections, shape (n_rows, num_components), float32."""
        projected = product(rows, self.weights)
        projected += self.bias
        return projected.astype(np.float32)

    def flat(self) -> Flat:
        """Return the components."""
        return Flat(
            kind="linear",
            n_features=self.n_features,
            arrays={"weights": np.ascontiguousarray(self.weights.T), "bias": self.bias},
            numbers={"link": "identity", "label": "none"},
            requests=REQUESTS,
            formats=FORMATS,
            forms=self.forms(np.zeros((1, len(self.bias)), np.float32)),
        )

    def columns(self, scores: Scores, *, is_verbose: bool) -> Columns:
        """Return `projection`."""
        return {"projection": scores}
