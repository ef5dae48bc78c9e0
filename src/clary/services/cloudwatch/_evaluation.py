"""What an alarm says of its metric: pure arithmetic over points.

Source: CloudWatch user guide, "Evaluating an alarm", "Configuring how CloudWatch alarms treat missing data".
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clary.kernel.clock import from_epoch_ms
from clary.services.cloudwatch.metric import Points, buckets, statistic

SPARE_PERIODS = 2
"""Periods before the evaluated ones whose points stand in for missing ones."""
COMPARISONS: Mapping[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A state and why."""

    state: str
    """`OK`, `ALARM` or `INSUFFICIENT_DATA`."""
    reason: str
    value: float | None = None
    """The newest value."""


def span_ms(alarm: Mapping[str, Any], now_ms: int) -> tuple[int, int]:
    """Return from when to when an evaluation needs points."""
    width = int(alarm["Period"]) * 1000
    newest = now_ms // width * width
    return newest - (int(alarm["EvaluationPeriods"]) + SPARE_PERIODS) * width, now_ms + 1


def evaluate(alarm: Mapping[str, Any], points: Points, now_ms: int) -> Verdict:
    """Return the state of an alarm, given the points of the `span_ms` that ends now.

    The period that is not over yet counts where its value already crosses the threshold upwards: more points
    can hardly take that back, and a rollback or a new instance is a minute earlier.
    """
    period_s = int(alarm["Period"])
    width = period_s * 1000
    newest = now_ms // width * width
    name = alarm.get("Statistic") or alarm["ExtendedStatistic"]
    values = {ms: statistic(name, found) for ms, found in buckets(points, period_s).items()}
    compare, words = COMPARISONS[alarm["ComparisonOperator"]]
    threshold = float(alarm["Threshold"])
    is_upward = alarm["ComparisonOperator"].startswith("Greater")
    if not (is_upward and newest in values and compare(values[newest], threshold)):
        values.pop(newest, None)
        newest -= width
    n = int(alarm["EvaluationPeriods"])
    window = [values.get(newest - width * k) for k in range(n)]
    treat = alarm.get("TreatMissingData", "missing")
    if treat in {"missing", "ignore"}:
        found = [value for _ms, value in sorted(values.items(), reverse=True)][:n]
        breaches = [compare(value, threshold) for value in found]
    else:
        found = [value for value in window if value is not None]
        breaches = [treat == "breaching" if each is None else compare(each, threshold) for each in window]
    value = found[0] if found else None
    if not breaches:
        kept = alarm.get("StateValue", "INSUFFICIENT_DATA") if treat == "ignore" else "INSUFFICIENT_DATA"
        return Verdict(kept, f"Insufficient Data: {n} datapoints were unknown.")
    needed = min(int(alarm.get("DatapointsToAlarm", n)), n)
    n_breaching = sum(breaches)
    state = "ALARM" if n_breaching >= needed else "OK"
    return Verdict(
        state, _reason(state, sorted(values.items())[-n:], n_breaching, n, words, threshold), value
    )


def _reason(
    state: str, shown: Sequence[tuple[int, float]], n_breaching: int, n: int, words: str, threshold: float
) -> str:
    moments = ", ".join(f"{value} ({_spelled(from_epoch_ms(ms))})" for ms, value in reversed(shown))
    crossed = n_breaching if state == "ALARM" else n - n_breaching
    verb = "was" if crossed == 1 else "were"
    negation = "" if state == "ALARM" else "not "
    return (
        f"Threshold Crossed: {crossed} out of the last {n} datapoints [{moments}] {verb} {negation}{words} "
        f"the threshold ({threshold})."
    )


def _spelled(moment: datetime) -> str:
    return moment.strftime("%d/%m/%y %H:%M:%S")
