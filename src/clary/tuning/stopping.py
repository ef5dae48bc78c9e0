"""Ending trials early: the median rule of `TrainingJobEarlyStoppingType` Auto, and Hyperband's halving.

Both look at curves alone, the objective's values in the order in which a trial printed them, and keep
nothing: what they decide after a crash is what they would have decided before.
"""

from collections.abc import Sequence
from statistics import fmean, median

ETA = 3
"""One trial of so many goes on beyond each rung. Source: Li et al. (2020), section 3."""
LEAST_OTHERS = 3
"""Trials that a median must speak for."""

Curve = Sequence[float]


def least_resource(longest: int) -> int:
    """Return the first rung of trials whose request names none: the third from the end.

    The first values of a curve say who is fast, not who is good: judged by them, slow learners never win.
    """
    return max(1, longest // ETA**2)


def lags_median(curve: Curve, others: Sequence[Curve], *, is_maximizing: bool) -> bool:
    """Say whether a trial does worse than the median of what earlier trials had averaged by then.

    Source
    ------
    Developer guide, "Stop Training Jobs Early": how early stopping works; Golovin et al. (2017), "Google
    Vizier", section 3.2.2.
    """
    n = len(curve)
    reached = [other for other in others if len(other) >= n > 0]
    if len(reached) < LEAST_OTHERS:
        return False
    averages = [fmean(other[:n]) for other in reached]
    bar = median(averages)
    return curve[-1] < bar if is_maximizing else curve[-1] > bar


def lags_rung(
    curve: Curve, others: Sequence[Curve], *, is_maximizing: bool, min_resource: int, max_resource: int
) -> bool:
    """Say whether a trial is not among the best third of those that came as far as its last rung.

    Parameters
    ----------
    others : sequence of Curve
        Of all other trials, running or ended.
    min_resource : int
        Values before the first rung; each further one is `ETA` times as far.
    """
    if len(curve) >= max_resource:
        return True
    rung = min_resource
    if len(curve) < rung:
        return False
    while rung * ETA <= len(curve):
        rung *= ETA
    sign = -1.0 if is_maximizing else 1.0
    reached = sorted(sign * other[rung - 1] for other in (*others, curve) if len(other) >= rung)
    n_going_on = max(1, len(reached) // ETA)
    return sign * curve[rung - 1] > reached[n_going_on - 1]
