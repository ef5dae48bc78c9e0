"""Bayesian optimisation as an Optuna sampler: a warped Gaussian process and expected improvement.

    finished trials ──▶ process ──▶ fantasies at running trials ──▶ expected improvement ──▶ next point

Optuna's own `GPSampler` does the same with torch, which weighs 200 MB and more; this one needs SciPy.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import TrialState
from scipy.special import log_ndtr, ndtr
from threadpoolctl import ThreadpoolController

from clary.tuning import _gaussian
from clary.tuning._columns import Columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from clary.tuning.space import Parameter

    Floats = NDArray[np.float64]

MAX_FITTED = 150
"""Trials from which the kernel's parameters are found: the cost grows with their cube."""
MAX_POINTS = 400
"""Trials that the process holds: the best, and the newest."""
FANTASIES = 8
"""Draws of what running trials may find. Source: Snoek et al. (2012), arXiv:1206.2944, section 3.2."""
CANDIDATES = 1024
NEAR = 256
"""Candidates around each of the best points, in every round of the local search."""
NEAR_BOLDNESS = 0.5
"""Share of the deviation that counts in the first trials of a warm start. Measured: `make bench-tuning`."""
RADII = (0.2, 0.05, 0.0125)
SQRT_2PI = np.sqrt(2 * np.pi)


class WarpedSampler(BaseSampler):
    """Proposes where improvement is expected.

    Parameters
    ----------
    parameters : iterable of Parameter
        What is searched; the distributions are those of `_optuna.distributions`.
    seed : int
        Everything drawn follows from it and from the trials.
    index : int
        Number of the trial, from 1: the first ones are spread evenly, whatever was found.
    n_even : int
        Trials that are spread evenly before the model takes over.
    n_near : int
        Trials after which the model looks further afield: `extra` has explored already.
    extra : sequence of (params, value)
        Observations of other jobs, on the scale of this one's.
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        seed: int,
        index: int,
        *,
        n_even: int,
        n_near: int = 0,
        extra: Sequence[tuple[Mapping[str, Any], float]] = (),
    ) -> None:
        self._seed = seed
        self._index = index
        self._n_even = n_even
        self._n_near = n_near
        self._extra = extra
        self._columns = Columns(parameters)
        self._apart = RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the whole space: `ask` has fixed it."""
        return dict(trial.distributions)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw one parameter at random."""
        return self._apart.sample_independent(study, trial, param_name, param_distribution)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Choose a point."""
        is_maximizing = study.direction is optuna.study.StudyDirection.MAXIMIZE
        return self.choose(study.get_trials(deepcopy=False), is_maximizing=is_maximizing)

    def choose(self, trials: Sequence[FrozenTrial], *, is_maximizing: bool) -> dict[str, Any]:
        """Choose the next point, given finished and running trials."""
        with _blas().limit(limits=1):  # a second thread costs fifty times what it brings on such matrices
            return self._columns.decode(self._row(trials, -1.0 if is_maximizing else 1.0))

    def _row(self, trials: Sequence[FrozenTrial], sign: float) -> Floats:
        columns = self._columns
        done = [each for each in trials if each.state is TrialState.COMPLETE and each.params]
        busy = [each.params for each in trials if each.state is TrialState.RUNNING and each.params]
        known = columns.encode([each.params for each in trials if each.params])
        tried = set(columns.marks(columns.snapped(known)))
        points = columns.encode(
            [*(each.params for each in done), *(params for params, _value in self._extra)]
        )
        found = [float(each.value or 0.0) for each in done] + [value for _params, value in self._extra]
        rng = np.random.default_rng([self._seed, self._index])
        if (len(points) < max(2, self._n_even) and self._index <= 2 * self._n_even) or len(points) < 2:
            return self._even(tried, rng)
        values = sign * np.array(found)
        kept = _kept(values)
        boldness = NEAR_BOLDNESS if self._index <= self._n_near else 1.0
        model = _Model(points[kept], values[kept], columns.bends, boldness)
        return self._best(model.with_pending(columns.encode(busy), rng), tried, rng)

    def _even(self, tried: set[bytes], rng: np.random.Generator) -> Floats:
        """Return a point of a low-discrepancy sequence: R_d of Roberts (2018), shifted by the seed."""
        columns, n = self._columns, len(self._columns.parameters)
        shift = np.random.default_rng(self._seed).random(n)
        for step in range(self._index, self._index + 10_000, max(1, 2 * self._n_even)):
            row = columns.snapped(columns.spread((shift + step * _ratios(n))[None] % 1.0))
            if columns.marks(row)[0] not in tried:
                return np.asarray(row[0])
        return self._anywhere(rng)

    def _anywhere(self, rng: np.random.Generator) -> Floats:
        columns = self._columns
        return np.asarray(columns.snapped(columns.spread(rng.random((1, len(columns.parameters)))))[0])

    def _best(self, model: _Model, tried: set[bytes], rng: np.random.Generator) -> Floats:
        """Return the point of the greatest expected improvement that has not been tried."""
        columns = self._columns
        pool = np.vstack(
            [columns.scatter(rng, CANDIDATES), columns.around(rng, model.incumbents(5), 0.1, NEAR)]
        )
        best, gains = np.empty((0, columns.width)), np.empty(0)
        for radius in (*RADII, 0.0):
            fresh = _fresh(columns, pool, tried)
            if len(fresh):
                rows, gain = np.vstack([best, fresh]), np.concatenate([gains, model.gain(fresh)])
                chosen = _apart(rows, gain, 4)
                best, gains = rows[chosen], gain[chosen]
            if not len(best) or not radius:
                break
            pool = columns.around(rng, best, radius, NEAR // 2)
        return np.asarray(best[0]) if len(best) else self._anywhere(rng)


class _Model:
    """What is believed of the objective, and what a point promises."""

    def __init__(
        self, points: Floats, values: Floats, bends: NDArray[np.bool_], boldness: float = 1.0
    ) -> None:
        self._points = points
        self._boldness = boldness
        scores = standardised(values)
        chosen = (
            slice(None) if len(points) <= MAX_FITTED else np.argsort(scores)[:: len(points) // MAX_FITTED]
        )
        kernel = _gaussian.fit(points[chosen], standardised(scores[chosen]), bends)
        self._process = _gaussian.Process(kernel, points, scores)
        believed, _ = self._process.predict(points)
        self._order = np.argsort(believed)
        self._least: Any = float(believed.min())

    def with_pending(self, pending: Floats, rng: np.random.Generator) -> _Model:
        """Add running trials, by several guesses of what they will find."""
        if len(pending):
            guesses = self._process.sample(pending, FANTASIES, rng)
            known = np.repeat(self._process.values[:, None], FANTASIES, axis=1)
            points = np.vstack([self._points, pending])
            self._process = _gaussian.Process(self._process.kernel, points, np.vstack([known, guesses]))
            self._least = np.minimum(self._least, guesses.min(axis=0))[None, :]
        return self

    def incumbents(self, n: int) -> Floats:
        """Return the points believed best."""
        return np.asarray(self._points[self._order[:n]])

    def gain(self, points: Floats) -> Floats:
        """Return the logarithm of the expected improvement, averaged over the guesses."""
        mean, deviation = self._process.predict(points)
        deviation = deviation * self._boldness
        if mean.ndim == 1:
            return log_improvement((self._least - mean) / deviation) + np.log(deviation)
        each = log_improvement((self._least - mean) / deviation[:, None])
        return np.asarray(np.logaddexp.reduce(each, axis=1) + np.log(deviation))


def log_improvement(z: Floats) -> Floats:
    """Return log(φ(z) + z Φ(z)), also where that is too small for a float.

    Source: Ament et al. (2023), "Unexpected Improvements to Expected Improvement", arXiv:2310.20708, eq. 9.
    """
    plain = np.maximum(np.exp(-0.5 * z * z) / SQRT_2PI + z * ndtr(z), 1e-300)
    low = np.minimum(z, -1.0)
    ratio = np.exp(np.log(-low) + log_ndtr(low) + 0.5 * low * low + np.log(SQRT_2PI))
    tail = -0.5 * low * low - np.log(SQRT_2PI) + np.log(np.maximum(1 - ratio, 1e-12 / (low * low)))
    return np.asarray(np.where(z > -3.0, np.log(plain), tail))


def standardised(values: Floats) -> Floats:
    """Return values of mean zero and variance one, their long tail above drawn in.

    A few bad trials lie far above the rest; what is far above is known well enough as bad. Above the median
    plus thrice the distance to the lower quartile, distances grow as logarithms.
    """
    median, quartile = np.median(values), np.quantile(values, 0.25)
    width = max(median - quartile, 1e-12 + 1e-9 * abs(median))
    edge = median + 3 * width
    drawn = np.where(values > edge, edge + width * np.log1p(np.maximum(values - edge, 0.0) / width), values)
    spread = drawn.std()
    return np.asarray((drawn - drawn.mean()) / (spread if spread > 1e-12 else 1.0))


def _kept(values: Floats) -> NDArray[np.int64]:
    """Return the places of the values that a process holds."""
    n = len(values)
    if n <= MAX_POINTS:
        return np.arange(n)
    newest = np.arange(n - MAX_POINTS // 2, n)
    best = np.argsort(values[: n - MAX_POINTS // 2])[: MAX_POINTS // 2]
    return np.concatenate([np.sort(best), newest])


def _fresh(columns: Columns, pool: Floats, tried: set[bytes]) -> Floats:
    """Return the points of a pool that can be tried and have not been, each once."""
    rows = columns.snapped(pool)
    places = {mark: place for place, mark in enumerate(columns.marks(rows)) if mark not in tried}
    return np.asarray(rows[list(places.values())])


def _apart(rows: Floats, gains: Floats, n: int) -> list[int]:
    """Return the places of the best rows that do not lie beside one another."""
    chosen: list[int] = []
    for place in np.argsort(-gains, kind="stable").tolist():
        if all(np.abs(rows[place] - rows[other]).max() > 1e-3 for other in chosen):
            chosen.append(place)
        if len(chosen) == n:
            break
    return chosen


@cache
def _ratios(n: int) -> Floats:
    """Return the steps of the R_d sequence: powers of the root of x**(n + 1) = x + 1."""
    root = 2.0
    for _ in range(60):
        root = (1 + root) ** (1 / (n + 1))
    return np.asarray((1 / root) ** np.arange(1, n + 1) % 1.0)


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()
