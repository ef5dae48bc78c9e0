"""Noise around one of several places: its loss, and values drawn of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from clary.algorithms import _torch  # noqa: F401 - says how to install torch where it is missing

import torch  # isort: skip

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from clary.algorithms.deepar._likelihood import Likelihood

CHOSEN = 2
"""Which of the uniform numbers of a step chooses its place; the others are the likelihood's."""


class Said(NamedTuple):
    """What the network says of steps; the last axis of each tensor is the places, or 1."""

    parameters: tuple[torch.Tensor, ...]
    chances: torch.Tensor
    """Their logarithms."""

    def since(self, step: int) -> Said:
        """Return it without the steps before."""
        return Said(tuple(each[:, step:] for each in self.parameters), self.chances[:, step:])


def loss(likelihood: Likelihood, values: torch.Tensor, scale: torch.Tensor, said: Said) -> torch.Tensor:
    """Return the loss of values, shape (n_series, n_steps)."""
    apart = likelihood.loss(values[..., None], scale[..., None], said.parameters)
    return -torch.logsumexp(said.chances - apart, -1)


def pull(said: Said, wanted: torch.Tensor) -> torch.Tensor:
    """Return how far the chances are from those wanted: the mean cross-entropy."""
    return -(wanted * said.chances.clamp(min=-20)).sum(-1).mean()


def draw(likelihood: Likelihood, scale: NDArray[Any], said: Said, uniform: NDArray[Any]) -> NDArray[Any]:
    """Return values for uniform numbers.

    Parameters
    ----------
    scale : ndarray, shape (n_series, 1)
    uniform : ndarray, shape (n_series, n_samples, n_steps, 3)
    """
    edges = np.exp(said.chances.numpy()).cumsum(-1)[:, None, :, :-1]
    which = (edges < uniform[..., CHOSEN, None]).sum(-1, keepdims=True)

    def chosen(values: torch.Tensor) -> NDArray[Any]:
        every = values.numpy()[:, None]
        every = np.broadcast_to(every, (*which.shape[:-1], every.shape[-1]))
        return np.take_along_axis(every, which if every.shape[-1] > 1 else which * 0, -1)[..., 0]

    return likelihood.draw(tuple(map(chosen, said.parameters)), scale[..., None], uniform)
