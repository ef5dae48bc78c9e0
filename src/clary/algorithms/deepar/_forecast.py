"""Forecasts: paths drawn step by step, and how far they are from what came.

Source: developer guide, "Tune a DeepAR Model", for the weighted quantile loss.
"""

from __future__ import annotations

import copy
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from clary.algorithms.deepar import _mixture
from clary.algorithms.deepar._series import Series
from clary.algorithms.deepar._windows import Windows

import torch  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from clary.algorithms.deepar._network import Network

STEP_PATHS = 1 << 15
"""Paths drawn at once, about."""
MOST_SERIES = 100
"""Whose ends tell how steps go together."""
_EDGE = 1e-12
"""Uniform numbers keep that far from 0 and 1."""


def exact(network: Network) -> Network:
    """Return a copy that answers: in double precision, so that a batch says what its members say alone."""
    copied: Network = copy.deepcopy(network).cpu().double().eval()
    return copied


def paths(network: Network, series: Sequence[Series], n_samples: int) -> NDArray[np.float32]:
    """Draw paths of the steps behind each series.

    Parameters
    ----------
    network : Network
        As `exact` returns it.

    Returns
    -------
    ndarray, shape (n_series, n_samples, prediction_length)
        Float32; the same for a series whatever others are asked for.
    """
    size = max(1, STEP_PATHS // n_samples)
    with torch.inference_mode():
        parts = [
            _paths(network, series[start : start + size], n_samples) for start in range(0, len(series), size)
        ]
    return np.concatenate(parts)


def _paths(network: Network, series: Sequence[Series], n_samples: int) -> NDArray[np.float32]:
    shape, n_series = network.shape, len(series)
    windows = Windows(series, shape)
    steps = windows.steps(
        network, np.arange(n_series), windows.lengths, shape.context_length + shape.prediction_length
    )
    said = network(steps.lags, steps.is_there, steps.features, steps.scale).since(shape.context_length)
    uniform = np.stack([_uniform(each, n_samples, network) for each in series])
    found = _mixture.draw(network.likelihood, steps.scale.numpy(), said, uniform)
    return (np.round(found) if shape.is_whole else found).astype(np.float32)


def _uniform(series: Series, n_samples: int, network: Network) -> NDArray[np.float64]:
    """Return uniform numbers: a step's first goes with that of the step before, a path has one place."""
    draw = np.random.default_rng((zlib.crc32(series.target.tobytes()), series.place & 0xFFFFFFFF))
    normal = draw.standard_normal((n_samples, network.shape.prediction_length, 3))
    correlation = float(network.path_correlation)
    fresh = np.sqrt(1 - correlation**2)
    for step in range(1, normal.shape[1]):
        normal[:, step, 0] = correlation * normal[:, step - 1, 0] + fresh * normal[:, step, 0]
    normal[:, :, _mixture.CHOSEN] = normal[:, :1, _mixture.CHOSEN]
    return np.asarray(special.ndtr(normal)).clip(_EDGE, 1 - _EDGE)


def correlation(network: Network, series: Sequence[Series]) -> tuple[float, float]:
    """Return how often neighbours at series' ends lie on one side of their medians, less how often not.

    Returns
    -------
    sum, count : float
        Of products of signs, over pairs of neighbours: hosts add theirs up.
    """
    n_ahead = network.shape.prediction_length
    long = [each for each in series if len(each) > n_ahead]
    if not long:
        return 0.0, 0.0
    long = long[:: -(-len(long) // MOST_SERIES)]
    known = [Series(each.place, each.target[:-n_ahead], each.cat, each.dynamic) for each in long]
    medians = np.median(paths(network, known, 25), axis=1)
    signs = np.sign(np.nan_to_num(np.stack([each.target[-n_ahead:] for each in long]) - medians))
    products = signs[:, 1:] * signs[:, :-1]
    return float(products.sum()), float(np.abs(products).sum())


def measure(
    forecasts: NDArray[Any], actual: NDArray[Any], quantiles: Sequence[float]
) -> tuple[float, dict[float, float]]:
    """Return the root mean square error of means, and the weighted loss of each quantile.

    Parameters
    ----------
    forecasts : ndarray, shape (n_series, n_samples, n_steps)
    actual : ndarray, shape (n_series, n_steps)
        NaN where a value is missing: it does not count.
    """
    is_there = ~np.isnan(actual)
    known = actual[is_there].astype(np.float64)
    error = forecasts.mean(1, dtype=np.float64)[is_there] - known
    total = max(float(np.abs(known).sum()), 1e-12)
    losses = {}
    for quantile, forecast in zip(quantiles, np.quantile(forecasts, quantiles, axis=1), strict=True):
        distance = known - forecast[is_there]
        losses[quantile] = 2 * float(np.maximum(quantile * distance, (quantile - 1) * distance).sum()) / total
    return float(np.sqrt(np.mean(error**2))) if len(error) else float("nan"), losses
