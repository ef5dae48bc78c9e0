"""Prediction: a score for every row, and the label that follows from it.

Source: developer guide, "Linear learner response formats".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms import _artifact, _decision
from clary.algorithms._answers import FORMATS, REQUESTS, ColumnPredictor, Columns, product
from clary.algorithms.linear_learner._hyperparameters import BINARY, CLASSES
from clary.algorithms.linear_learner._losses import sigmoid, softmax
from clary.kernel.errors import CustomerError
from clary.toolkit.flat import Flat

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from clary.algorithms._rows import Scores
    from clary.toolkit.formats.base import Matrix

_NAMES = ("weight", "bias", "threshold", "predictor_type", "loss")


def load(model_dir: Path, environ: Mapping[str, str]) -> LinearPredictor:
    """Load weights and bias.

    Raises
    ------
    CustomerError
        There are none, or the file cannot be read.
    """
    model = _artifact.load(_artifact.find(model_dir), _NAMES)
    if model["weight"].ndim != 2 or model["bias"].shape != model["weight"].shape[:1]:
        raise CustomerError("Unable to load model: bias must have a member for each row of weight")
    kind = str(model["predictor_type"])
    decided = _decision.threshold(model_dir, unfit="" if kind == BINARY else f"predictor_type {kind}")
    if decided is not None:
        model["threshold"] = np.float64(decided)
    return LinearPredictor(model, environ)


class LinearPredictor(ColumnPredictor):
    """A loaded linear model that answers requests."""

    def __init__(self, model: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        super().__init__(environ)
        self.weights = np.ascontiguousarray(model["weight"].T.astype(np.float64))
        """Shape (n_features, n_outputs)."""
        self.bias = model["bias"].astype(np.float64)
        """Shape (n_outputs,)."""
        self.threshold = float(model["threshold"])
        """Least score of class 1, of a binary classifier."""
        self.predictor_type = str(model["predictor_type"])
        self.loss = str(model["loss"])
        """With `logistic` and `softmax_loss` scores are probabilities."""

    @property
    def n_features(self) -> int:
        """Columns of a row."""
        return len(self.weights)

    def score(self, rows: Matrix) -> Scores:
        """Return scores, shape (n_rows, n_outputs), float32."""
        scores = product(rows, self.weights)
        scores += self.bias
        if self.loss == "logistic":
            scores = sigmoid(scores)
        elif self.loss == "softmax_loss":
            scores = softmax(scores)
        return scores.astype(np.float32)

    def flat(self) -> Flat | None:
        """Return weights and bias; None for a model whose other outputs nobody is told."""
        label = {BINARY: "threshold", CLASSES: "best"}.get(self.predictor_type, "none")
        if label != "best" and len(self.bias) != 1:
            return None
        return Flat(
            kind="linear",
            n_features=self.n_features,
            arrays={"weights": np.ascontiguousarray(self.weights.T), "bias": self.bias},
            numbers={
                "link": {"logistic": "sigmoid", "softmax_loss": "softmax"}.get(self.loss, "identity"),
                "label": label,
                "threshold": self.threshold,
            },
            requests=REQUESTS,
            formats=FORMATS,
            forms=self.forms(np.zeros((1, len(self.bias)), np.float32)),
        )

    def columns(self, scores: Scores, *, is_verbose: bool) -> Columns:
        """Return `score`, and `predicted_label` of a classifier."""
        if self.predictor_type == BINARY:
            labels = (scores[:, 0] >= self.threshold).astype(np.int64)
            return {"score": scores[:, 0], "predicted_label": labels}
        if self.predictor_type == CLASSES:
            return {"score": scores, "predicted_label": scores.argmax(axis=1)}
        return {"score": scores[:, 0]}
