"""Optimisers under the service's names: dense steps, and steps of the rows that a mini-batch touched.

    sgd · adagrad · adam · rmsprop · adadelta

Parameters are changed in place. Statistics of rows that were never touched cost no memory: they are pages
of zeros that nobody wrote. Tensors of a GPU take the same steps as arrays, by the same lines; statistics lie
where their parameters do.

Source
------
Kingma and Ba (2015), arXiv:1412.6980; Duchi, Hazan and Singer (2011); Zeiler (2012), arXiv:1212.5701;
constants are those of MXNet, on which the service's containers stand.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

Values: TypeAlias = Any
"""Float32: an array, or a tensor of a device. Factors are Python's numbers, which both take as float32."""

BLOCK_VALUES = 1 << 16
"""Values of a step that are worked on at once: they stay in the processor's cache."""
DEVICE_BLOCK_VALUES = 1 << 26
"""The same of a device: few calls, and 256 MiB for what lies between."""


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
        self._decay = weight_decay
        self._clip = clip
        self._rescale = rescale
        self._statistics: dict[str, list[Values]] = {}
        self._n_steps: dict[str, int] = {}

    @abstractmethod
    def change(self, gradient: Values, statistics: list[Values], n_steps: int) -> Values:
        """Return what is taken from the parameters; statistics are renewed in place."""

    def step(self, parameters: Mapping[str, Any], gradients: Mapping[str, Any]) -> None:
        """Change every parameter that has a gradient; all are C-contiguous float32."""
        for name, gradient in gradients.items():
            values = parameters[name].reshape(-1)
            flat = gradient.reshape(-1)
            statistics = [each.reshape(-1) for each in self._remembered(name, parameters[name])]
            n_steps, is_free = self._count(name), name.startswith("bias") or name.endswith("bias")
            block = _at_once(values)
            for start in range(0, len(values), block):
                part = slice(start, start + block)
                own = values[part]
                ready = self._ready(flat[part], own, 0.0 if is_free else self._decay)
                own -= self.change(ready, [each[part] for each in statistics], n_steps)

    def step_rows(self, name: str, table: Values, rows: Any, gradient: Values) -> None:
        """Change some rows of a table.

        Parameters
        ----------
        rows : ndarray or tensor, shape (n_touched,)
            Each row once.
        gradient : ndarray or tensor, shape (n_touched, n_columns)
            Float32.
        """
        statistics = self._remembered(name, table)
        n_steps = self._count(name)
        height = max(1, _at_once(table) // max(1, table.shape[1]))
        for start in range(0, len(rows), height):
            part = rows[start : start + height]
            values = table[part]
            found = [each[part] for each in statistics]
            ready = self._ready(gradient[start : start + height], values, self._decay)
            values -= self.change(ready, found, n_steps)
            table[part] = values
            for each, renewed in zip(statistics, found, strict=True):
                each[part] = renewed

    def _remembered(self, name: str, values: Values) -> list[Values]:
        if name not in self._statistics:
            self._statistics[name] = [_zeros(values) for _ in range(self.n_statistics)]
        return self._statistics[name]

    def _count(self, name: str) -> int:
        self._n_steps[name] = self._n_steps.get(name, 0) + 1
        return self._n_steps[name]

    def _ready(self, gradient: Values, values: Values, decay: float) -> Values:
        ready = gradient * self._rescale
        if self._clip < np.inf:
            ready = ready.clip(-self._clip, self._clip)
        if decay:
            ready += decay * values
        return ready


def _zeros(values: Values) -> Values:
    return (
        np.zeros(values.shape, np.float32)
        if isinstance(values, np.ndarray)
        else values.new_zeros(values.shape)
    )


def _at_once(values: Values) -> int:
    return BLOCK_VALUES if isinstance(values, np.ndarray) else DEVICE_BLOCK_VALUES


class Sgd(Optimizer):
    """Plain steps along the gradient."""

    name = "sgd"

    def change(self, gradient: Values, statistics: list[Values], n_steps: int) -> Values:
        """Return what is taken from the parameters."""
        gradient *= self.learning_rate
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

    def change(self, gradient: Values, statistics: list[Values], n_steps: int) -> Values:
        """Return what is taken from the parameters."""
        [squares] = statistics
        if self.keep < 1:
            squares *= self.keep
        squares += self.share * gradient * gradient
        gradient *= self.learning_rate
        gradient /= (squares + self.tiny) ** 0.5
        return gradient


class Adam(Optimizer):
    """Steps by means of gradients and of their squares."""

    name = "adam"
    n_statistics = 2

    def change(self, gradient: Values, statistics: list[Values], n_steps: int) -> Values:
        """Return what is taken from the parameters."""
        mean, square = statistics
        mean *= 0.9
        mean += 0.1 * gradient
        gradient *= gradient
        gradient *= 0.001
        square *= 0.999
        square += gradient
        rate = self.learning_rate * math.sqrt(1 - 0.999**n_steps) / (1 - 0.9**n_steps)
        root = square**0.5
        root += 1e-8
        found = mean / root
        found *= rate
        return found


class Rmsprop(Adagrad):
    """Steps by a fading mean of squares."""

    name = "rmsprop"
    keep, share, tiny = 0.9, 0.1, 1e-8


_REST = float(1 - np.float32(0.9))
"""What single precision leaves beside 0.9."""


class Adadelta(Optimizer):
    """Steps as long as those before; the learning rate plays no part."""

    name = "adadelta"
    n_statistics = 2

    def change(self, gradient: Values, statistics: list[Values], n_steps: int) -> Values:
        """Return what is taken from the parameters."""
        square, moved = statistics
        square *= 0.9
        square += _REST * gradient * gradient
        gradient *= ((moved + 1e-5) / (square + 1e-5)) ** 0.5
        moved *= 0.9
        moved += _REST * gradient * gradient
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
