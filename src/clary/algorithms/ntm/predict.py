"""Prediction: the share of each topic in every document.

Source: developer guide, "NTM Response Formats".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from clary.algorithms import _artifact
from clary.algorithms._answers import ColumnPredictor, Columns, product
from clary.algorithms.ntm._network import activate, shares, softmax
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from clary.algorithms._rows import Scores
    from clary.toolkit.formats.base import Matrix

STEP = 1024
"""Documents scored at once."""


def load(model_dir: Path, environ: Mapping[str, str]) -> TopicPredictor:
    """Load the encoder.

    Raises
    ------
    CustomerError
        There is none, or its arrays do not fit each other.
    """
    arrays = _artifact.load(
        _artifact.find(model_dir), ("topics", "activation", "weight_0", "mean_weight", "mean_bias")
    )
    n_layers = sum(name.startswith("weight_") for name in arrays)
    widths = [arrays["topics"].shape[1], *(arrays[f"weight_{layer}"].shape for layer in range(n_layers))]
    for before, after in zip(
        [widths[0], *(shape[1] for shape in widths[1:])],
        [*(shape[0] for shape in widths[1:]), arrays["mean_weight"].shape[0]],
        strict=True,
    ):
        if before != after:
            raise CustomerError(f"Unable to load model: a layer takes {after} numbers, and gets {before}")
    return TopicPredictor(arrays, n_layers, environ)


class TopicPredictor(ColumnPredictor):
    """A loaded encoder that answers requests."""

    def __init__(self, arrays: dict[str, Any], n_layers: int, environ: Mapping[str, str]) -> None:
        super().__init__(environ)
        self._activation = str(arrays["activation"])
        self._layers = [
            (arrays[f"weight_{layer}"].astype(np.float64), arrays[f"bias_{layer}"].astype(np.float64))
            for layer in range(n_layers)
        ]
        self._mean = arrays["mean_weight"].astype(np.float64), arrays["mean_bias"].astype(np.float64)

    @property
    def n_features(self) -> int:
        """Words of the vocabulary."""
        return int(self._layers[0][0].shape[0])

    def score(self, rows: Matrix) -> Scores:
        """Return the shares of topics, shape (n_rows, n_topics), float32."""
        found = np.empty((rows.shape[0], self._mean[0].shape[1]), np.float32)
        for start in range(0, rows.shape[0], STEP):
            values: Any = shares(sparse.csr_matrix(rows[start : start + STEP]))
            for weight, bias in self._layers:
                values = activate(self._activation, product(values, weight) + bias)
            found[start : start + STEP] = softmax(values @ self._mean[0] + self._mean[1])
        return found

    def columns(self, scores: Scores, *, is_verbose: bool) -> Columns:
        """Return `topic_weights`."""
        return {"topic_weights": scores}
