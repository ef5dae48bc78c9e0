"""Losses of linear models: value and slope for the scores of many models at once, in single precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms.linear_learner._hyperparameters import LOSSES

if TYPE_CHECKING:
    from clary.toolkit.hyperparameters import Params

LEAST = np.float32(1e-12)

SHOWN = {
    "logistic": "binary_classification_cross_entropy",
    "hinge_loss": "hinge_loss",
    "softmax_loss": "multiclass_cross_entropy",
    "squared_loss": "mse",
    "absolute_loss": "absolute_loss",
    "eps_insensitive_squared_loss": "eps_insensitive_squared_loss",
    "eps_insensitive_absolute_loss": "eps_insensitive_absolute_loss",
    "quantile_loss": "quantile_loss",
    "huber_loss": "huber_loss",
}
"""How a loss is named in the log, in front of `_objective`."""


class Loss:
    """One loss with its parameters.

    Scores have shape (n_rows, n_models), of `softmax_loss` (n_rows, n_models, n_classes); labels (n_rows,).
    """

    def __init__(self, params: Params) -> None:
        kind = params.text("predictor_type")
        self.name = LOSSES[kind][0] if params["loss"] == "auto" else params.text("loss")
        self.margin = np.float32(params.float("margin"))
        self.quantile = np.float32(params.float("quantile"))
        self.epsilon = np.float32(params.float("loss_insensitivity"))
        self.delta = np.float32(params.float("huber_delta"))

    def slope(self, scores: Any, labels: Any) -> Any:  # noqa: PLR0911 - one for each loss
        """Return the derivative of every row's loss by its scores; may be written over the scores."""
        if self.name == "logistic":
            scores = sigmoid(scores)
            scores -= labels[:, None]
            return scores
        if self.name == "softmax_loss":
            scores = softmax(scores)
            scores[np.arange(len(labels)), :, labels.astype(np.int64)] -= 1
            return scores
        if self.name == "hinge_loss":
            sides = (2 * labels - 1)[:, None]
            return np.where(scores * sides < self.margin, -sides, np.float32(0))
        apart = scores - labels[:, None]
        match self.name:
            case "squared_loss":
                return 2 * apart
            case "absolute_loss":
                return np.sign(apart)
            case "eps_insensitive_squared_loss":
                return 2 * np.sign(apart) * np.maximum(np.abs(apart) - self.epsilon, 0)
            case "eps_insensitive_absolute_loss":
                return np.where(np.abs(apart) > self.epsilon, np.sign(apart), np.float32(0))
            case "quantile_loss":
                return np.where(apart > 0, 1 - self.quantile, -self.quantile)
            case _:
                return np.clip(apart, -self.delta, self.delta)

    def value(self, scores: Any, labels: Any) -> Any:  # noqa: PLR0911 - one for each loss
        """Return every row's loss, shape (n_rows, n_models)."""
        if self.name == "logistic":
            sides = (1 - 2 * labels)[:, None]
            return np.logaddexp(np.float32(0), scores * sides)
        if self.name == "softmax_loss":
            shifted = scores - scores.max(axis=2, keepdims=True)
            own = shifted[np.arange(len(labels)), :, labels.astype(np.int64)]
            return np.log(np.exp(shifted).sum(axis=2)) - own
        if self.name == "hinge_loss":
            return np.maximum(self.margin - scores * (2 * labels - 1)[:, None], 0)
        apart = scores - labels[:, None]
        size = np.abs(apart)
        match self.name:
            case "squared_loss":
                return apart * apart
            case "absolute_loss":
                return size
            case "eps_insensitive_squared_loss":
                return np.maximum(size - self.epsilon, 0) ** 2
            case "eps_insensitive_absolute_loss":
                return np.maximum(size - self.epsilon, 0)
            case "quantile_loss":
                return np.where(apart > 0, (1 - self.quantile) * apart, -self.quantile * apart)
            case _:
                outer = self.delta * (size - self.delta / 2)
                return np.where(size <= self.delta, apart * apart / 2, outer)

    def scaled(self, scale: float) -> None:
        """Measure labels in units of `scale`: losses that bend at a distance bend at the same one."""
        self.epsilon = np.float32(self.epsilon / scale)
        self.delta = np.float32(self.delta / scale)


def sigmoid(scores: Any) -> Any:
    """Return 1 / (1 + exp(-scores)), of any float type."""
    scores = np.clip(scores, -80, 80)
    np.negative(scores, out=scores)
    np.exp(scores, out=scores)
    scores += 1
    return np.reciprocal(scores, out=scores)


def softmax(scores: Any) -> Any:
    """Return probabilities along the last axis."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers
