"""Optimisers under the service's names: dense steps, and steps of the rows that a mini-batch touched.

    sgd · adagrad · adam · rmsprop · adadelta

Parameters are changed in place. Statistics of rows that were never touched cost no memory: they are pages
of zeros that nobody wrote.

Source
------
Kingma and Ba (2015), arXiv:1412.6980; Duchi, Hazan and Singer (2011); Zeiler (2012), arXiv:1212.5701;
constants are those of MXNet, on which the service's containers stand.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

BLOCK_VALUES = 1 << 16
"""Values of a dense step that are worked on at once: they stay in the processor's cache."""


class Optimizer(ABC):
    """Steps of all parameters of one model.

    Promises
    --------
    - `step_rows` of all rows is `step` of the table.
    - The same gradients in the same order give the same parameters.
    """

    name: ClassVar[str]
    n_statistics: ClassVar[int] = 0
    """Numbers that are remembered for each parameter."""

    def __init__(
        self, learning_rate: float, *, weight_decay: float = 0.0, clip: float = np.inf, rescale: float = 1.0
    ) -> None:
        """Say how large steps are; gradients are rescaled, then clipped, then decay is added.

        Biases do not decay, as in MXNet.
        """
        self.learning_rate = learning_rate
        self._decay = np.float32(weight_decay)
        self._clip = clip
        self._rescale = np.float32(rescale)
        self._statistics: dict[str, list[NDArray[np.float32]]] = {}
        self._n_steps: dict[str, int] = {}

    @abstractmethod
    def change(
        self, gradient: NDArray[np.float32], statistics: list[NDArray[np.float32]], n_steps: int
    ) -> NDArray[np.float32]:
        """Return what is taken from the parameters; statistics are renewed in place."""

    def step(self, parameters: Mapping[str, Any], gradients: Mapping[str, Any]) -> None:
        """Change every parameter that has a gradient; arrays are C-contiguous float32."""
        for name, gradient in gradients.items():
            values = parameters[name].reshape(-1)
            flat = gradient.reshape(-1)
            statistics = [each.reshape(-1) for each in self._remembered(name, parameters[name])]
            n_steps, is_free = self._count(name), name.startswith("bias") or name.endswith("bias")
            for start in range(0, values.size, BLOCK_VALUES):
                part = slice(start, start + BLOCK_VALUES)
                ready = self._ready(flat[part], values[part], 0.0 if is_free else self._decay)
                values[part] -= self.change(ready, [each[part] for each in statistics], n_steps)

    def step_rows(
        self, name: str, table: NDArray[np.float32], rows: NDArray[np.intp], gradient: NDArray[np.float32]
    ) -> None:
        """Change some rows of a table.

        Parameters
        ----------
        rows : ndarray, shape (n_touched,)
            Each row once.
        gradient : ndarray, shape (n_touched, n_columns)
            Float32.
        """
        statistics = self._remembered(name, table)
        n_steps = self._count(name)
        height = max(1, BLOCK_VALUES // max(1, table.shape[1]))
        for start in range(0, len(rows), height):
            part = rows[start : start + height]
            values = table[part]
            found = [each[part] for each in statistics]
            ready = self._ready(gradient[start : start + height], values, self._decay)
            values -= self.change(ready, found, n_steps)
            table[part] = values
            for each, renewed in zip(statistics, found, strict=True):
                each[part] = renewed

    def _remembered(self, name: str, values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        if name not in self._statistics:
            self._statistics[name] = [np.zeros(values.shape, np.float32) for _ in range(self.n_statistics)]
        return self._statistics[name]

    def _count(self, name: str) -> int:
        self._n_steps[name] = self._n_steps.get(name, 0) + 1
        return self._n_steps[name]

    def _ready(
        self, gradient: NDArray[np.float32], values: NDArray[np.float32], decay: np.float32 | float
    ) -> NDArray[np.float32]:
        ready = gradient * self._rescale
        if self._clip < np.inf:
            np.clip(ready, -self._clip, self._clip, out=ready)
        if decay:
            ready += decay * values
        return ready


class Sgd(Optimizer):
    """Plain steps along the gradient."""

    name = "sgd"

    def change(
        self, gradient: NDArray[np.float32], statistics: list[NDArray[np.float32]], n_steps: int
    ) -> NDArray[np.float32]:
        """Return what is taken from the parameters."""
        gradient *= np.float32(self.learning_rate)
        return gradient


class Adagrad(Optimizer):
    """Steps that shrink with the sum of squares so far."""

    name = "adagrad"
    n_statistics = 1
    keep: ClassVar[float] = 1.0
    """Share of the sum that stays."""
    share: ClassVar[float] = 1.0
    """Of a square that is added."""
    tiny: ClassVar[float] = 1e-7

    def change(
        self, gradient: NDArray[np.float32], statistics: list[NDArray[np.float32]], n_steps: int
    ) -> NDArray[np.float32]:
        """Return what is taken from the parameters."""
        [squares] = statistics
        if self.keep < 1:
            squares *= np.float32(self.keep)
        squares += np.float32(self.share) * gradient * gradient
        gradient *= np.float32(self.learning_rate)
        gradient /= np.sqrt(squares + np.float32(self.tiny))
        return gradient


class Adam(Optimizer):
    """Steps by means of gradients and of their squares."""

    name = "adam"
    n_statistics = 2

    def change(
        self, gradient: NDArray[np.float32], statistics: list[NDArray[np.float32]], n_steps: int
    ) -> NDArray[np.float32]:
        """Return what is taken from the parameters."""
        mean, square = statistics
        mean *= np.float32(0.9)
        mean += np.float32(0.1) * gradient
        gradient *= gradient
        gradient *= np.float32(0.001)
        square *= np.float32(0.999)
        square += gradient
        rate = self.learning_rate * np.sqrt(1 - 0.999**n_steps) / (1 - 0.9**n_steps)
        np.sqrt(square, out=gradient)
        gradient += np.float32(1e-8)
        np.divide(mean, gradient, out=gradient)
        gradient *= np.float32(rate)
        return gradient


class Rmsprop(Adagrad):
    """Steps by a fading mean of squares."""

    name = "rmsprop"
    keep, share, tiny = 0.9, 0.1, 1e-8


class Adadelta(Optimizer):
    """Steps as long as those before; the learning rate plays no part."""

    name = "adadelta"
    n_statistics = 2

    def change(
        self, gradient: NDArray[np.float32], statistics: list[NDArray[np.float32]], n_steps: int
    ) -> NDArray[np.float32]:
        """Return what is taken from the parameters."""
        square, moved = statistics
        keep, tiny = np.float32(0.9), np.float32(1e-5)
        square *= keep
        square += (1 - keep) * gradient * gradient
        gradient *= np.sqrt((moved + tiny) / (square + tiny))
        moved *= keep
        moved += (1 - keep) * gradient * gradient
        return gradient


_OPTIMIZERS = {each.name: each for each in (Sgd, Adagrad, Adam, Rmsprop, Adadelta)}
NAMES = tuple(sorted(_OPTIMIZERS))
"""Their names on the wire."""


def optimizer(
    name: str,
    learning_rate: float,
    *,
    weight_decay: float = 0.0,
    clip: float = np.inf,
    rescale: float = 1.0,
) -> Optimizer:
    """Return a new optimiser of a name in `NAMES`."""
    chosen: type[Optimizer] = _OPTIMIZERS[name]
    return chosen(learning_rate, weight_decay=weight_decay, clip=clip, rescale=rescale)
