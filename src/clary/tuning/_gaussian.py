"""Gaussian-process regression with input warping, the model behind Bayesian tuning; NumPy and SciPy alone.

Matérn 5/2 with a length for each column, over inputs bent by Kumaraswamy's distribution function, fitted by
the mode of the posterior of its parameters.

Source: Perrone et al. (2021), "Amazon SageMaker Automatic Model Tuning: Scalable Gradient-Free Optimization",
arXiv:2012.08489, section 4; Snoek et al. (2014), "Input Warping for Bayesian Optimization", arXiv:1402.0929.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs
from scipy.optimize import minimize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

EDGE = 1e-6
"""Inputs keep so far from 0 and 1, where the warping's derivatives have no end."""
JITTER = 1e-8
SQRT5 = 5.0**0.5
LENGTH_AT, LENGTH_SPREAD = np.log(0.5), 1.0
"""Prior of a length, lognormal: half of the cube."""
NOISE_AT, NOISE_SPREAD = np.log(1e-3), 1.5
"""Prior of the noise's variance, lognormal, beside objectives of variance one."""
WARP_SPREAD = 0.5
"""Prior of a warping's exponents, lognormal around one. Source: Snoek et al. use 0.5 to 0.75."""


@dataclass(frozen=True)
class Kernel:
    """Parameters of the process, all as logarithms."""

    lengths: Floats
    """Shape (n_columns,)."""
    scale: float
    noise: float
    first: Floats
    second: Floats
    """Exponents of the warping, shape (n_columns,); zero where a column is not bent."""

    def warp(self, points: Floats) -> Floats:
        """Return the bent points, shape (n, n_columns), each divided by its length."""
        inner = np.clip(points, EDGE, 1 - EDGE) ** np.exp(self.first)
        bent = 1 - (1 - inner) ** np.exp(self.second)
        return np.asarray(bent / np.exp(self.lengths))

    def between(self, left: Floats, right: Floats) -> Floats:
        """Return the covariance of bent points, shape (n_left, n_right)."""
        return np.asarray(np.exp(self.scale) * _matern(_squared(left, right))[0])


class Process:
    """A fitted Gaussian process."""

    def __init__(self, kernel: Kernel, points: Floats, values: Floats) -> None:
        self.kernel = kernel
        self.values = values
        self._bent = kernel.warp(points)
        covariance = kernel.between(self._bent, self._bent)
        covariance[np.diag_indices_from(covariance)] += np.exp(kernel.noise) + JITTER
        self._factor = cho_factor(covariance, lower=True)
        self._weights = cho_solve(self._factor, values)

    def predict(self, points: Floats) -> tuple[Floats, Floats]:
        """Return mean and standard deviation, without noise.

        Returns
        -------
        mean : ndarray, shape (n,) or (n, n_fantasies)
            A column for each column of the values that the process was given.
        deviation : ndarray, shape (n,)
        """
        cross = self.kernel.between(self._bent, self.kernel.warp(points))
        shrunk = solve_triangular(self._factor[0], cross, lower=True)
        variance = np.exp(self.kernel.scale) - np.einsum("ij,ij->j", shrunk, shrunk)
        return cross.T @ self._weights, np.sqrt(np.maximum(variance, 1e-12))

    def sample(self, points: Floats, n: int, rng: np.random.Generator) -> Floats:
        """Draw joint values at some points, shape (n_points, n)."""
        bent = self.kernel.warp(points)
        cross = self.kernel.between(self._bent, bent)
        mean = cross.T @ self._weights
        covariance = self.kernel.between(bent, bent) - cross.T @ cho_solve(self._factor, cross)
        covariance[np.diag_indices_from(covariance)] += np.exp(self.kernel.noise) + 1e-6
        root = np.linalg.cholesky(covariance)
        return np.asarray(mean[:, None] + root @ rng.standard_normal((len(points), n)))


def fit(points: Floats, values: Floats, bends: NDArray[np.bool_], *, max_iterations: int = 60) -> Kernel:
    """Return the kernel whose parameters are the mode of their posterior.

    Parameters
    ----------
    points : ndarray, shape (n, n_columns)
        In [0, 1].
    values : ndarray, shape (n,)
        Of mean zero and variance one.
    bends : ndarray of bool, shape (n_columns,)
        Columns that are warped: the numbers.
    """
    n_columns = points.shape[1]
    inner = np.clip(points, EDGE, 1 - EDGE)
    found: tuple[float, Any] | None = None
    for length, noise in ((0.5, 1e-3), (0.2, 1e-2)):
        start = np.concatenate(
            [
                np.full(n_columns, np.log(length)),
                [0.0, np.log(noise)],
                np.zeros(2 * int(bends.sum())),
            ]
        )
        bounds = (
            [(-4.6, 4.6)] * n_columns + [(-3.0, 4.0), (-16.0, 0.5)] + [(-2.0, 2.0)] * (2 * int(bends.sum()))
        )
        done = minimize(
            _loss,
            start,
            args=(inner, values, bends),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": max_iterations},
        )
        if found is None or done.fun < found[0]:
            found = (float(done.fun), done.x)
    assert found is not None
    return _kernel(found[1], bends)


def _kernel(theta: Floats, bends: NDArray[np.bool_]) -> Kernel:
    n_columns, n_bent = len(bends), int(bends.sum())
    first, second = np.zeros(n_columns), np.zeros(n_columns)
    first[bends] = theta[n_columns + 2 : n_columns + 2 + n_bent]
    second[bends] = theta[n_columns + 2 + n_bent :]
    return Kernel(theta[:n_columns], float(theta[n_columns]), float(theta[n_columns + 1]), first, second)


def _loss(theta: Floats, points: Floats, values: Floats, bends: NDArray[np.bool_]) -> tuple[float, Floats]:
    """Return the negative logarithm of the posterior, and its gradient."""
    kernel = _kernel(theta, bends)
    n, n_columns = points.shape
    bent = kernel.warp(points)
    shape, slope = _matern(_squared(bent, bent))
    scale, noise = np.exp(kernel.scale), np.exp(kernel.noise)
    covariance = scale * shape
    covariance[np.diag_indices(n)] += noise + JITTER
    factor, failed = dpotrf(covariance, lower=1, overwrite_a=1)
    if failed:
        return 1e10, np.zeros_like(theta)
    weights = dpotrs(factor, values, lower=1)[0]
    inverse = dpotri(factor, lower=1)[0]
    inverse += np.tril(inverse, -1).T  # only the lower half is filled
    loss = 0.5 * float(values @ weights) + float(np.log(np.diag(factor)).sum())
    pull = np.outer(weights, weights) - inverse  # of the likelihood by the covariance, twice
    by_distance = pull * slope * scale
    rows = by_distance.sum(axis=1)
    mixed = by_distance @ bent
    gradient = np.zeros_like(theta)
    gradient[:n_columns] = 2 * ((rows[:, None] * bent - mixed) * bent).sum(axis=0)
    gradient[n_columns] = -0.5 * scale * float((pull * shape).sum())
    gradient[n_columns + 1] = -0.5 * noise * float(np.trace(pull))
    by_first, by_second = _bending(kernel, points)
    both = rows[:, None] * bent - mixed
    n_bent = int(bends.sum())
    gradient[n_columns + 2 : n_columns + 2 + n_bent] = (-2 * (both * by_first).sum(axis=0))[bends]
    gradient[n_columns + 2 + n_bent :] = (-2 * (both * by_second).sum(axis=0))[bends]
    for part, at, spread in (
        (slice(0, n_columns), LENGTH_AT, LENGTH_SPREAD),
        (slice(n_columns, n_columns + 1), 0.0, 1.0),
        (slice(n_columns + 1, n_columns + 2), NOISE_AT, NOISE_SPREAD),
        (slice(n_columns + 2, len(theta)), 0.0, WARP_SPREAD),
    ):
        off = (theta[part] - at) / spread
        loss += 0.5 * float(off @ off)
        gradient[part] += off / spread
    return loss, gradient


def _bending(kernel: Kernel, points: Floats) -> tuple[Floats, Floats]:
    """Return how bent points change with the logarithms of both exponents."""
    a, b = np.exp(kernel.first), np.exp(kernel.second)
    inner = np.clip(points, EDGE, 1 - EDGE) ** a
    rest = np.maximum(1 - inner, 1e-12)
    lengths = np.exp(kernel.lengths)
    by_first = b * rest ** (b - 1) * inner * np.log(np.clip(points, EDGE, 1 - EDGE)) * a / lengths
    by_second = -(rest**b) * np.log(rest) * b / lengths
    return by_first, by_second


def _squared(left: Floats, right: Floats) -> Floats:
    """Return squared distances, shape (n_left, n_right)."""
    lengths = (left * left).sum(axis=1)[:, None] + (right * right).sum(axis=1)[None, :]
    return np.asarray(np.maximum(lengths - 2 * left @ right.T, 0.0))


def _matern(squared: Floats) -> tuple[Floats, Floats]:
    """Return the covariance of unit scale by squared distance, and its derivative by it."""
    distance = np.sqrt(squared)
    decay = np.exp(-SQRT5 * distance)
    linear = 1 + SQRT5 * distance
    return (linear + 5 / 3 * squared) * decay, -5 / 6 * linear * decay
