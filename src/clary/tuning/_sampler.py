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

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

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
RADII = (0.2, 0.05, 0.0125)
SQRT_2PI = np.sqrt(2 * np.pi)


class WarpedSampler(BaseSampler):
    """Proposes where improvement is expected.

    Parameters
    ----------
    seed : int
        Everything drawn follows from it and from the trials.
    index : int
        Number of the trial, from 1: the first ones are spread evenly, whatever was found.
    n_even : int
        Trials that are spread evenly before the model takes over.
    extra : sequence of (params, value)
        Observations of other jobs, on the scale of this one's.
    rounding : callable
        Makes a point one that can be tried: whole numbers.
    """

    def __init__(
        self,
        seed: int,
        index: int,
        *,
        n_even: int,
        extra: Sequence[tuple[Mapping[str, Any], float]] = (),
        rounding: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        self._seed = seed
        self._index = index
        self._n_even = n_even
        self._extra = extra
        self._rounding = rounding or (lambda params: params)
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
        return self.choose(study, search_space)

    def choose(self, study: Study, search_space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
        """Choose the next point, given the finished and the running trials of `study`."""
        with _blas().limit(limits=1):  # a second thread costs fifty times what it brings on such matrices
            return self._choose(study, _Columns(search_space))

    def _choose(self, study: Study, columns: _Columns) -> dict[str, Any]:
        trials = study.get_trials(
            deepcopy=False, states=(TrialState.COMPLETE, TrialState.RUNNING, TrialState.FAIL)
        )
        done = [each for each in trials if each.state is TrialState.COMPLETE and each.params]
        busy = [each for each in trials if each.state is TrialState.RUNNING and each.params]
        tried = {columns.mark(self._rounding(dict(each.params))) for each in trials if each.params}
        sign = -1.0 if study.direction is optuna.study.StudyDirection.MAXIMIZE else 1.0
        points = [columns.encode(each.params) for each in done]
        values = [sign * float(each.value) for each in done if each.value is not None]
        points += [columns.encode(params) for params, _value in self._extra]
        values += [sign * value for _params, value in self._extra]
        rng = np.random.default_rng([self._seed, self._index])
        if (len(points) < max(2, self._n_even) and self._index <= 2 * self._n_even) or len(points) < 2:
            return self._even(columns, tried, rng)
        kept = _kept(np.array(values))
        model = _Model(np.array(points)[kept], np.array(values)[kept], columns.bends)
        pending = np.array([columns.encode(each.params) for each in busy]).reshape(len(busy), columns.width)
        return self._best(columns, model.with_pending(pending, rng), tried, rng)

    def _even(self, columns: _Columns, tried: set[Any], rng: np.random.Generator) -> dict[str, Any]:
        """Return a point of a low-discrepancy sequence: R_d of Roberts (2018), shifted by the seed."""
        shift = np.random.default_rng(self._seed).random(len(columns.names))
        for step in range(self._index, self._index + 10_000, max(1, 2 * self._n_even)):
            params = self._rounding(columns.decode_even((shift + step * _ratios(len(columns.names))) % 1.0))
            if columns.mark(params) not in tried:
                return params
        return self._rounding(columns.decode_even(rng.random(len(columns.names))))

    def _best(
        self, columns: _Columns, model: _Model, tried: set[Any], rng: np.random.Generator
    ) -> dict[str, Any]:
        """Return the point of the greatest expected improvement that has not been tried."""
        pool = [columns.decode(row) for row in columns.scatter(rng, CANDIDATES)]
        pool += [columns.decode(row) for row in columns.around(rng, model.incumbents(5), 0.1, NEAR)]
        best: list[tuple[float, dict[str, Any]]] = []
        for radius in (*RADII, 0.0):
            unseen = {columns.mark(rounded): rounded for rounded in map(self._rounding, pool)}
            fresh = [params for mark, params in unseen.items() if mark not in tried]
            if fresh:
                gain = model.gain(np.array([columns.encode(params) for params in fresh]))
                ranked = sorted([*best, *zip(gain.tolist(), fresh, strict=True)], key=lambda pair: -pair[0])
                best = _apart(ranked, columns, 4)
            if not best or not radius:
                break
            centres = np.array([columns.encode(params) for _gain, params in best])
            pool = [columns.decode(row) for row in columns.around(rng, centres, radius, NEAR // 2)]
        if best:
            return best[0][1]
        return self._rounding(columns.decode_even(rng.random(len(columns.names))))


class _Columns:
    """The space as columns of a matrix: one for a number, one for each of a parameter's categories."""

    def __init__(self, search_space: Mapping[str, BaseDistribution]) -> None:
        self.names = sorted(search_space)
        self._counts = [
            len(each.choices) if isinstance(each, optuna.distributions.CategoricalDistribution) else 0
            for each in (search_space[name] for name in self.names)
        ]
        self.width = sum(count or 1 for count in self._counts)
        self.bends = np.array([not count for count in self._counts for _ in range(count or 1)], dtype=bool)

    def encode(self, params: Mapping[str, Any]) -> Floats:
        """Return the row of a point."""
        row: list[float] = []
        for name, count in zip(self.names, self._counts, strict=True):
            row += (
                [float(place == params[name]) for place in range(count)] if count else [float(params[name])]
            )
        return np.array(row)

    def decode(self, row: Floats) -> dict[str, Any]:
        """Return the point of a row: the greatest of a parameter's categories."""
        params: dict[str, Any] = {}
        at = 0
        for name, count in zip(self.names, self._counts, strict=True):
            width = count or 1
            part = row[at : at + width]
            params[name] = int(part.argmax()) if count else float(min(1.0, max(0.0, part[0])))
            at += width
        return params

    def decode_even(self, units: Floats) -> dict[str, Any]:
        """Return the point of one number in [0, 1) for each parameter."""
        return {
            name: int(unit * count) if count else float(unit)
            for name, count, unit in zip(self.names, self._counts, units, strict=True)
        }

    def mark(self, params: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return what a point is told apart by."""
        return tuple(round(params[name], 9) for name in self.names)

    def scatter(self, rng: np.random.Generator, n: int) -> Floats:
        """Return rows anywhere."""
        return np.asarray(rng.random((n, self.width)))

    def around(self, rng: np.random.Generator, centres: Floats, radius: float, n: int) -> Floats:
        """Return `n` rows near each centre: some columns are moved, the others stay."""
        rows = np.repeat(centres, n, axis=0)
        moves = rng.random(rows.shape) < max(0.3, 1.5 / self.width)
        steps = np.where(self.bends, radius * rng.standard_normal(rows.shape), 0.0)
        swaps = np.where(self.bends, 0.0, 1.01 * rng.random(rows.shape) * (rng.random(rows.shape) < 0.3))
        moved = rows + moves * (steps + swaps)
        return np.asarray(np.clip(moved, 0.0, np.where(self.bends, 1.0, 2.0)))


class _Model:
    """What is believed of the objective, and what a point promises."""

    def __init__(self, points: Floats, values: Floats, bends: NDArray[np.bool_]) -> None:
        self._points = points
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


def _apart(
    ranked: list[tuple[float, dict[str, Any]]], columns: _Columns, n: int
) -> list[tuple[float, dict[str, Any]]]:
    """Return the best pairs that do not lie beside one another."""
    chosen: list[tuple[float, dict[str, Any]]] = []
    rows: list[Floats] = []
    for gain, params in ranked:
        row = columns.encode(params)
        if all(np.abs(row - other).max() > 1e-3 for other in rows):
            chosen.append((gain, params))
            rows.append(row)
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
