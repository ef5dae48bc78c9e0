"""Noise models: their loss, and values drawn from uniform numbers.

What the network says of one step is (first, spread, tail), and several places that its past suggests: their
weighted mean first, then the last seasons. A step's noise is around one of them, by chances that the network
says: a forecast then hedges between seasons that differ.

Source: Salinas et al. (2020), doi:10.1016/j.ijforecast.2019.07.001, section 3;
Bishop (1994), "Mixture density networks".
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import special

from clary.algorithms import _torch  # noqa: F401 - says how to install torch where it is missing

import torch  # isort: skip
from torch.nn.functional import softplus  # isort: skip

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Parameters = tuple[torch.Tensor, ...]

_LEAST = 1e-4
"""Spread and mean are at least that."""


class Likelihood(ABC):
    """One noise model."""

    n_outputs: ClassVar[int]
    """Numbers that the network gives for it."""
    has_scale: ClassVar[bool] = True
    """Whether values are divided by their series' scale."""
    is_smooth: ClassVar[bool] = False
    """Whether it is a density of real numbers, without bound: whole numbers would make it a row of spikes."""

    is_certain: ClassVar[bool] = False
    """Whether it has no noise, and thus one place alone."""
    names: ClassVar[tuple[str, ...]]
    """Of its parameters."""

    @abstractmethod
    def parameters(self, outputs: torch.Tensor, places: torch.Tensor, spreads: torch.Tensor) -> Parameters:
        """Return the parameters of each place.

        Parameters
        ----------
        outputs : Tensor, shape (..., n_outputs)
        places, spreads : Tensor, shape (..., n_places)
            What the past suggests, and how far from it values usually are; `outputs` moves the first of them.
        """

    def mean(self, scale: torch.Tensor, parameters: Parameters) -> torch.Tensor:
        """Return the mean of values around each place: by most, the first parameter is it."""
        return scale * parameters[0]

    @abstractmethod
    def loss(self, values: torch.Tensor, scale: torch.Tensor, parameters: Parameters) -> torch.Tensor:
        """Return the loss of values, which are not divided by `scale`."""

    @abstractmethod
    def draw(
        self, parameters: tuple[NDArray[Any], ...], scale: NDArray[Any], uniform: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return values, in their own units, for uniform numbers, shape (..., 2)."""


class Gaussian(Likelihood):
    """For real numbers."""

    names: ClassVar[tuple[str, ...]] = ("middle", "deviation")
    n_outputs: ClassVar[int] = 2
    is_smooth: ClassVar[bool] = True

    def parameters(self, outputs: torch.Tensor, places: torch.Tensor, spreads: torch.Tensor) -> Parameters:
        """Return mean and deviation."""
        return _moved(places, outputs[..., :1]), _widened(spreads, outputs[..., 1:])

    def loss(self, values: torch.Tensor, scale: torch.Tensor, parameters: Parameters) -> torch.Tensor:
        """Return the negative logarithm of the density."""
        mean, deviation = parameters
        distance = (values / scale - mean) / deviation
        return 0.5 * distance**2 + torch.log(deviation * scale) + 0.5 * math.log(2 * math.pi)

    def draw(
        self, parameters: tuple[NDArray[Any], ...], scale: NDArray[Any], uniform: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Invert the distribution."""
        mean, deviation = parameters
        return np.asarray(scale * (mean + deviation * special.ndtri(uniform[..., 0])))


class StudentT(Likelihood):
    """For bursts."""

    names: ClassVar[tuple[str, ...]] = ("location", "spread", "freedom")
    n_outputs: ClassVar[int] = 3
    is_smooth: ClassVar[bool] = True

    def parameters(self, outputs: torch.Tensor, places: torch.Tensor, spreads: torch.Tensor) -> Parameters:
        """Return location, spread and degrees of freedom."""
        spread = _widened(spreads, outputs[..., 1:2])
        return _moved(places, outputs[..., :1]), spread, 2 + softplus(outputs[..., 2:] + 2)

    def loss(self, values: torch.Tensor, scale: torch.Tensor, parameters: Parameters) -> torch.Tensor:
        """Return the negative logarithm of the density."""
        mean, spread, freedom = parameters
        distance = (values / scale - mean) / spread
        return (
            torch.lgamma(freedom / 2)
            - torch.lgamma((freedom + 1) / 2)
            + 0.5 * torch.log(math.pi * freedom)
            + torch.log(spread * scale)
            + (freedom + 1) / 2 * torch.log1p(distance**2 / freedom)
        )

    def draw(
        self, parameters: tuple[NDArray[Any], ...], scale: NDArray[Any], uniform: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Invert the distribution."""
        mean, spread, freedom = parameters
        return np.asarray(scale * (mean + spread * special.stdtrit(freedom, uniform[..., 0])))


class NegativeBinomial(Likelihood):
    """For counts."""

    names: ClassVar[tuple[str, ...]] = ("rate", "dispersion")
    n_outputs: ClassVar[int] = 2

    def parameters(self, outputs: torch.Tensor, places: torch.Tensor, spreads: torch.Tensor) -> Parameters:
        """Return mean and dispersion, both by the scale."""
        mean = places.clamp(min=0) * torch.exp(outputs[..., :1].clamp(-8, 4))
        return mean + softplus(outputs[..., :1] - 3) + _LEAST, softplus(outputs[..., 1:] - 1) + _LEAST

    def loss(self, values: torch.Tensor, scale: torch.Tensor, parameters: Parameters) -> torch.Tensor:
        """Return the negative logarithm of the probability."""
        mean, count = scale * parameters[0], torch.sqrt(scale) / parameters[1]
        values = values.clamp(min=0)
        return (
            torch.lgamma(count)
            + torch.lgamma(values + 1)
            - torch.lgamma(values + count)
            + count * torch.log1p(mean / count)
            + values * torch.log1p(count / mean)
        )

    def draw(
        self, parameters: tuple[NDArray[Any], ...], scale: NDArray[Any], uniform: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Draw a rate from its gamma distribution, and a count from the rate."""
        mean, count = scale * parameters[0], np.sqrt(scale) / parameters[1]
        rate = np.maximum(special.gammaincinv(count, uniform[..., 0]) * mean / count, 1e-12)
        found = np.ceil(special.pdtrik(uniform[..., 1], rate))
        lower = np.maximum(found - 1, 0)
        return np.asarray(np.where(special.pdtr(lower, rate) >= uniform[..., 1], lower, found))


class Beta(Likelihood):
    """For numbers between 0 and 1."""

    names: ClassVar[tuple[str, ...]] = ("first", "second")
    n_outputs: ClassVar[int] = 2
    has_scale: ClassVar[bool] = False

    def parameters(self, outputs: torch.Tensor, places: torch.Tensor, spreads: torch.Tensor) -> Parameters:
        """Return both exponents."""
        mean = torch.sigmoid(torch.logit(places.clamp(0.02, 0.98)) + outputs[..., :1])
        weight = softplus(outputs[..., 1:] + 3) + _LEAST
        return mean * weight + _LEAST, (1 - mean) * weight + _LEAST

    def mean(self, scale: torch.Tensor, parameters: Parameters) -> torch.Tensor:
        """Return the share of the first exponent."""
        return parameters[0] / (parameters[0] + parameters[1])

    def loss(self, values: torch.Tensor, scale: torch.Tensor, parameters: Parameters) -> torch.Tensor:
        """Return the negative logarithm of the density."""
        first, second = parameters
        values = values.clamp(_LEAST, 1 - _LEAST)
        return (
            torch.lgamma(first)
            + torch.lgamma(second)
            - torch.lgamma(first + second)
            - (first - 1) * torch.log(values)
            - (second - 1) * torch.log1p(-values)
        )

    def draw(
        self, parameters: tuple[NDArray[Any], ...], scale: NDArray[Any], uniform: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Invert the distribution."""
        first, second = parameters
        return np.asarray(special.betaincinv(first, second, uniform[..., 0]))


class DeterministicL1(Likelihood):
    """A forecast without uncertainty."""

    names: ClassVar[tuple[str, ...]] = ("median",)
    n_outputs: ClassVar[int] = 1
    is_certain: ClassVar[bool] = True

    def parameters(self, outputs: torch.Tensor, places: torch.Tensor, spreads: torch.Tensor) -> Parameters:
        """Return the median."""
        return (places + outputs,)

    def loss(self, values: torch.Tensor, scale: torch.Tensor, parameters: Parameters) -> torch.Tensor:
        """Return the distance, by the scale."""
        return (values / scale - parameters[0]).abs()

    def draw(
        self, parameters: tuple[NDArray[Any], ...], scale: NDArray[Any], uniform: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the median itself."""
        return np.asarray(scale * parameters[0])


def _moved(places: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    """Return places, the first of them moved: seasons are repeated as they were."""
    return torch.cat((places[..., :1] + by, places[..., 1:]), -1)


def _widened(spreads: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    return spreads * torch.exp(by.clamp(-8, 8)) + _LEAST


LIKELIHOODS: dict[str, Likelihood] = {
    "gaussian": Gaussian(),
    "beta": Beta(),
    "negative-binomial": NegativeBinomial(),
    "student-T": StudentT(),
    "deterministic-L1": DeterministicL1(),
}
"""By the hyperparameter's words."""
