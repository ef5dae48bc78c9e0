"""How many instances a policy wants: target tracking and steps.

Source: Application Auto Scaling user guide, "How target tracking scaling works", "How step scaling works".
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

SLACK = 0.9
"""A fleet shrinks only where the metric stays below this share of its target, so that it does not swing."""


def by_load(load: float, target: float) -> tuple[int, int]:
    """Return the instances for a load that they share: those needed, and those to which to shrink at most.

    Parameters
    ----------
    load : float
        Of all instances together.
    target : float
        For one of them.
    """
    return _up(load / target), _up(load / (target * SLACK))


def by_value(value: float, target: float, current: int) -> tuple[int, int]:
    """Return the instances for a metric that falls as they become more; as `by_load`."""
    if not current:
        return (1, 1) if value > 0 else (0, 0)
    return _up(current * value / target), _up(current * value / (target * SLACK))


def by_step(
    current: int, deviation: float, policy: Mapping[str, Any], *, is_upward: bool = True
) -> int | None:
    """Return the capacity to which a step policy leads; None where no step holds the deviation.

    Parameters
    ----------
    deviation : float
        Of the alarm's metric from its threshold.
    is_upward : bool
        Bounds that are both positive take the deviation's lower bound with them, negative ones the upper.
    """
    step = _step(policy.get("StepAdjustments", ()), deviation, is_upward=is_upward)
    if step is None:
        return None
    change = step["ScalingAdjustment"]
    match policy["AdjustmentType"]:
        case "ExactCapacity":
            return int(change)
        case "PercentChangeInCapacity":
            exact = current * change / 100
            # Above one rounded down, between nought and one up to one; the same below nought.
            part = math.floor(abs(exact)) if abs(exact) > 1 else math.ceil(abs(exact))
            least = policy.get("MinAdjustmentMagnitude", 0)
            return current + int(math.copysign(max(part, least), change)) if change else current
        case _:
            return current + int(change)


def _step(
    steps: Sequence[Mapping[str, Any]], deviation: float, *, is_upward: bool
) -> Mapping[str, Any] | None:
    for step in steps:
        low = step.get("MetricIntervalLowerBound", -math.inf)
        high = step.get("MetricIntervalUpperBound", math.inf)
        is_inside = low <= deviation < high if is_upward else low < deviation <= high
        if is_inside:
            return step
    return None


def _up(exact: float) -> int:
    return math.ceil(exact - 1e-9)
