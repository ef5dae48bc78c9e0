"""Prediction: a score for every row, and the label that follows from it.

Source: developer guide, "Factorization Machines Response Formats".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms import _artifact, _decision
from clary.algorithms._answers import FORMATS, ColumnPredictor, Columns
from clary.algorithms.base import Refusal
from clary.algorithms.factorization_machines._model import linked
from clary.algorithms.factorization_machines.definition import BINARY
from clary.kernel.errors import CustomerError
from clary.toolkit.flat import Flat
from clary.toolkit.formats import csv
from clary.toolkit.formats.base import MediaType
from clary.toolkit.kernels.factors import scored

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from clary.algorithms._rows import Scores
    from clary.algorithms.base import Question
    from clary.toolkit.formats.base import Matrix

_NAMES = ("bias", "linear", "factors", "predictor_type")
BLOCK_BYTES = 64 << 20
"""Of sums over factors, at once."""


def load(model_dir: Path, environ: Mapping[str, str]) -> MachinePredictor:
    """Load weights and factors.

    Raises
    ------
    CustomerError
        There are none, or the file cannot be read.
    """
    model = _artifact.load(_artifact.find(model_dir), _NAMES)
    if (
        model["factors"].ndim != 2
        or model["linear"].shape != model["factors"].shape[:1]
        or model["bias"].size != 1
    ):
        raise CustomerError(
            "Unable to load model: linear must have a member for each row of factors, and bias one"
        )
    kind = str(model["predictor_type"])
    decided = _decision.threshold(model_dir, unfit="" if kind == BINARY else f"predictor_type {kind}")
    return MachinePredictor(model, environ, 0.5 if decided is None else decided)


class MachinePredictor(ColumnPredictor):
    """A loaded model that answers requests."""

    def __init__(self, model: Mapping[str, Any], environ: Mapping[str, str], threshold: float = 0.5) -> None:
        super().__init__(environ)
        self.weights = np.column_stack((model["linear"], model["factors"])).astype(np.float64)
        """Of each column: its weight, then its factors."""
        self.bias = float(model["bias"])
        self.is_binary = str(model["predictor_type"]) == BINARY
        self.threshold = threshold
        """Least score of class 1, of a binary classifier."""

    @property
    def n_features(self) -> int:
        """Columns of a row."""
        return len(self.weights)

    def decode(self, question: Question) -> Matrix:
        """Read a request; Refusal 415 where it is CSV, which the service does not read either."""
        if MediaType.parse(question.content_type).name in csv.CONTENT_TYPES:
            raise Refusal(
                415,
                f"{question.content_type} is not an accepted ContentType: application/json, "
                "application/jsonlines, application/x-recordio-protobuf.",
            )
        return super().decode(question)

    def score(self, rows: Matrix) -> Scores:
        """Return scores, shape (n_rows,), float32."""
        step = max(1, BLOCK_BYTES // (8 * self.weights.shape[1]))
        parts = [
            scored(rows[at : at + step].astype(np.float64), self.weights, self.bias)
            for at in range(0, rows.shape[0], step)
        ]
        return np.asarray(linked(np.concatenate(parts), is_binary=self.is_binary), np.float32)

    def flat(self) -> Flat:
        """Return weights, factors and bias."""
        return Flat(
            kind="factors",
            n_features=self.n_features,
            arrays={"weights": self.weights},
            numbers={
                "bias": self.bias,
                "link": "sigmoid" if self.is_binary else "identity",
                "threshold": self.threshold,
            },
            requests=(),
            formats=FORMATS,
            forms=self.forms(np.zeros(1, np.float32)),
        )

    def columns(self, scores: Scores, *, is_verbose: bool) -> Columns:
        """Return `score`, and `predicted_label` of a classifier."""
        if self.is_binary:
            return {"score": scores, "predicted_label": (scores >= self.threshold).astype(np.int64)}
        return {"score": scores}
