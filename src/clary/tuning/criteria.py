"""When a tuning job has done enough: no improvement, convergence."""

from collections.abc import Sequence

IMPROVEMENT = 0.01
"""Share by which the best objective must get better to count.

Source: API reference, BestObjectiveNotImproving
and ConvergenceDetected: "1% or less".
"""
WINDOW = 10
"""Least number of trials without improvement that means convergence."""


def n_not_improving(objectives: Sequence[float], *, is_maximizing: bool) -> int:
    """Return how many of the last trials have not improved the best objective before them.

    Parameters
    ----------
    objectives : sequence of float
        Of the finished trials, in their order.
    """
    sign = -1.0 if is_maximizing else 1.0
    best: float | None = None
    since = 0
    for value in objectives:
        score = sign * value
        if best is None or score < best - IMPROVEMENT * abs(best):
            best, since = score, 0
        else:
            since += 1
    return since


def has_converged(objectives: Sequence[float], n_parameters: int, *, is_maximizing: bool) -> bool:
    """Say whether further trials promise nothing: half of all, and ten at least, brought no improvement."""
    window = max(WINDOW, 2 * (n_parameters + 1), len(objectives) // 2)
    return n_not_improving(objectives, is_maximizing=is_maximizing) >= window
