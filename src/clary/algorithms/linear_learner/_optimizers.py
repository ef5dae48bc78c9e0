"""Steps of gradient descent for many models at once: columns are models, each with its own rates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from clary.algorithms._gpu import Gpu
    from clary.toolkit.hyperparameters import Params

EPSILON = 1e-8


class Optimizer:
    """One matrix of weights and what its steps remember; its steps read alike for arrays and tensors.

    Source
    ------
    Kingma and Ba (2015), arXiv:1412.6980, for adam; rmsprop as Tieleman and Hinton (2012), lecture 6.5.
    """

    def __init__(self, kind: str, params: Params, weights: Any, rates: Any, wd: Any, l1: Any) -> None:
        """Begin.

        Parameters
        ----------
        weights : ndarray, shape (n_rows, n_columns)
            Float32; changed by the steps.
        rates, wd, l1 : ndarray, shape (n_columns,)
            Step size and regularization of every column.
        """
        self.weights = weights
        self._kind = kind
        self._rates, self._wd, self._l1 = rates, wd, l1
        self._has_wd, self._has_l1 = bool(wd.any()), bool(l1.any())
        momentum, first, second = (params[name] for name in ("momentum", "beta_1", "beta_2"))
        if kind == "sgd":
            self._first = _single(0.9 if momentum == "auto" else momentum)
        else:
            self._first = _single(0.9 if first == "auto" else first)
        self._second = _single(0.999 if second == "auto" else second)
        if kind == "rmsprop":
            self._second = _single(0.9)
        self._gpu: Gpu | None = None
        self.library: Any = np
        """NumPy, or torch."""
        self._zero: Any = np.float32(0)
        self.mean = np.zeros_like(weights)
        self.square = np.zeros_like(weights if kind != "sgd" else weights[:0])
        self.n_steps = 0

    def move(self, gpu: Gpu) -> None:
        """Go to a device; what `state` returns comes back from there."""
        self._gpu, self.library = gpu, gpu.torch
        self.weights, self.mean, self.square = map(gpu.put, (self.weights, self.mean, self.square))
        self._rates, self._wd, self._l1 = map(gpu.put, (self._rates, self._wd, self._l1))
        self._zero = gpu.put(np.zeros((), np.float32))

    def step(self, slope: Any, share: float, rows: Any = None) -> None:
        """Move the weights against their slope.

        Parameters
        ----------
        slope : ndarray
            Of all rows, or of `rows`; written over.
        share : float
            By what the step sizes are multiplied.
        rows : ndarray or tensor of int, optional
            The rows whose slope is not zero: others stay, and their regularization waits.
        """
        at: Any = slice(None) if rows is None else rows
        weights = self.weights[at]
        self.n_steps += 1
        if self._has_wd:
            slope += self._wd * weights
        rates = self._rates * share
        if self._kind == "sgd":
            mean = self.mean[at] * self._first - rates * slope
            self.mean[at] = mean
            weights = weights + mean
        else:
            weights = weights - self._adaptive(slope, rates, at)
        if self._has_l1:
            weights = self.library.sign(weights) * self.library.maximum(
                abs(weights) - rates * self._l1, self._zero
            )
        self.weights[at] = weights

    def _adaptive(self, slope: Any, rates: Any, at: Any) -> Any:
        square = self.square[at]
        square *= self._second
        square += (1 - self._second) * (slope * slope)
        if not isinstance(at, slice):
            self.square[at] = square
        if self._kind == "rmsprop":
            return rates * slope / (self.library.sqrt(square) + EPSILON)
        mean = self.mean[at]
        mean *= self._first
        mean += (1 - self._first) * slope
        if not isinstance(at, slice):
            self.mean[at] = mean
        unbiased = math.sqrt(1 - self._second**self.n_steps) / (1 - self._first**self.n_steps)
        root = self.library.sqrt(square)
        root += EPSILON
        step = mean / root
        step *= rates * unbiased
        return step

    @property
    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        found = {"weights": self.weights, "mean": self.mean, "square": self.square}
        if self._gpu is not None:
            found = {name: self._gpu.take(values) for name, values in found.items()}
        return {**found, "n_steps": np.array(self.n_steps)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.weights[:] = self._put(state["weights"])
        self.mean[:] = self._put(state["mean"])
        self.square[:] = self._put(state["square"])
        self.n_steps = int(state["n_steps"])

    def go_to(self, weights: Any) -> None:
        """Take other weights, and remember the same of the steps."""
        self.weights[:] = self._put(weights)

    def _put(self, values: Any) -> Any:
        return values if self._gpu is None else self._gpu.put(values)


def _single(value: Any) -> float:
    """Return a number as single precision has it."""
    return float(np.float32(value))
