"""Autotune: ranges for hyperparameters of which only an example is given, and limits where none are."""

from collections.abc import Mapping
from typing import Any

from clary.algorithms import base as algorithms
from clary.compute.base import Runtime
from clary.kernel.errors import ValidationException
from clary.toolkit.hyperparameters import Integer, Recommended, unquoted

N_TRIALS = 50
"""Trials of a job whose request leaves that to Autotune; convergence ends it sooner."""
FACTOR = 10.0
"""A range reaches so far below and above the example."""
FLAGS = ("false", "true")


def ranges_of(ranges: Mapping[str, Any], runtime: Runtime) -> dict[str, Any]:
    """Return ranges in which every auto parameter has one.

    Source
    ------
    API reference, AutoParameter: an optimal range is selected for an eligible hyperparameter.
    """
    full = {member: list(each) for member, each in ranges.items()}
    for each in ranges.get("AutoParameters") or ():
        member, chosen = _range(each["Name"], each["ValueHint"], runtime)
        known = full.setdefault(member, [])
        if all(other["Name"] != each["Name"] for other in known):
            known.append(chosen)
    return full


def _range(name: str, hint: str, runtime: Runtime) -> tuple[str, dict[str, Any]]:
    if runtime.kind == "builtin":
        declared = next(
            (
                each
                for each in algorithms.find(runtime.name).hyperparameters
                if name in (each.name, *each.aliases)
            ),
            None,
        )
        if declared is not None and isinstance(declared.tunable, Recommended):
            return _numbers(
                name, declared.tunable.min, declared.tunable.max, is_whole=isinstance(declared, Integer)
            )
        if declared is not None and declared.tunable:
            assert not isinstance(declared.tunable, Recommended)  # handled above; mypy does not see it
            return "CategoricalParameterRanges", {"Name": name, "Values": list(declared.tunable)}
    text = unquoted(hint).strip()
    if text.lower() in FLAGS:
        return "CategoricalParameterRanges", {"Name": name, "Values": list(FLAGS)}
    try:
        number = float(text)
    except ValueError:
        raise ValidationException(
            f"AutoParameters: hyperparameter [{name}] isn't eligible for Autotune: ValueHint '{hint}' is "
            "neither a number nor true or false. Give it a range, or a place in StaticHyperParameters."
        ) from None
    is_whole = "." not in text and "e" not in text.lower()
    if number == 0:
        return _numbers(name, 0, FACTOR if is_whole else 1.0, is_whole=is_whole)
    ends = sorted((number / FACTOR, number * FACTOR))
    if not is_whole and 0 < number < 1:
        ends[1] = min(ends[1], 1.0)
    return _numbers(name, *ends, is_whole=is_whole)


def _numbers(name: str, low: float, high: float, *, is_whole: bool) -> tuple[str, dict[str, Any]]:
    if is_whole:
        low, high = round(low), round(high)
        if low == 0 < high and high >= FACTOR:
            low = 1
    member = "IntegerParameterRanges" if is_whole else "ContinuousParameterRanges"
    return member, {"Name": name, "MinValue": str(low), "MaxValue": str(high), "ScalingType": "Auto"}


def limits_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the resource limits and criteria of a job that leaves them to Autotune."""
    limits = dict(config["ResourceLimits"])
    criteria = dict(config.get("TuningJobCompletionCriteria") or {})
    if "MaxNumberOfTrainingJobs" not in limits and config["Strategy"] != "Grid":
        limits["MaxNumberOfTrainingJobs"] = max(N_TRIALS, limits["MaxParallelTrainingJobs"])
    criteria.setdefault("ConvergenceDetected", {"CompleteOnConvergence": "Enabled"})
    return {**config, "ResourceLimits": limits, "TuningJobCompletionCriteria": criteria}
