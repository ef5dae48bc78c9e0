"""Prediction: the nearest centre of every row, and how far it is.

Source: developer guide, "K-Means Response Formats".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

STEP_BYTES = 64 << 20
"""Distances held at once."""


def load(model_dir: Path, environ: Mapping[str, str]) -> KMeansPredictor:
    """Load the centres.

    Raises
    ------
    CustomerError
        There are none, or the file cannot be read.
    """
    centres = _artifact.load(_artifact.find(model_dir), ("centers",))["centers"]
    if centres.ndim != 2 or not centres.size:
        raise CustomerError("Unable to load model: centers must be a matrix")
    return KMeansPredictor(centres, environ)


class KMeansPredictor(ColumnPredictor):
    """Loaded centres that answer requests."""

    def __init__(self, centres: Any, environ: Mapping[str, str]) -> None:
        super().__init__(environ)
        self.centres = centres.astype(np.float64)
        self._norms = np.einsum("ij,ij->i", self.centres, self.centres)
        self._weights = np.ascontiguousarray(-2.0 * self.centres.T)

    @property
    def n_features(self) -> int:
        """Columns of a row."""
        return int(self.centres.shape[1])

    def score(self, rows: Matrix) -> Scores:
        """Return the nearest cluster and the distance from it, shape (n_rows, 2), float32."""
        n_rows = rows.shape[0]
        out = np.empty((n_rows, 2), np.float32)
        step = max(1, STEP_BYTES // (8 * len(self.centres)))
        for start in range(0, n_rows, step):
            block = rows[start : start + step]
            squares = product(block, self._weights)
            squares += self._norms
            labels = squares.argmin(axis=1)
            out[start : start + step, 0] = labels
            nearest = self.centres[labels]
            dense = block if isinstance(block, np.ndarray) else block.toarray()
            apart = dense - nearest
            out[start : start + step, 1] = np.sqrt(np.einsum("ij,ij->i", apart, apart))
        return out

    def flat(self) -> Flat:
        """Return the centres."""
        return Flat(
            kind="centres",
            n_features=self.n_features,
            arrays={"centres": self.centres},
            requests=REQUESTS,
            formats=FORMATS,
            forms=self.forms(np.zeros((1, 2), np.float32)),
        )

    def columns(self, scores: Scores, *, is_verbose: bool) -> Columns:
        """Return `closest_cluster` and `distance_to_cluster`."""
        return {"closest_cluster": scores[:, 0], "distance_to_cluster": scores[:, 1]}
