"""What CreateHyperParameterTuningJob refuses beyond the model: ranges, scales, objectives, limits.

Texts in quotation of the service are those that its users have reported; a `Source` says where.
"""

import math
from collections.abc import Mapping
from typing import Any

from clary.algorithms import base as algorithms
from clary.compute.base import Runtime
from clary.kernel.errors import CustomerError, ValidationException
from clary.services.sagemaker._tuning_request import Definition
from clary.toolkit.hyperparameters import Categorical, Continuous, Hyperparameter, Integer, unquoted
from clary.tuning.space import KINDS, LOGARITHMIC, REVERSE, Parameter

MAX_TUNED = 30
"""Source: API reference, ParameterRanges: "the maximum also for the hyperparameter tuning job itself"."""
MAX_GRID = 10_000
"""Combinations of a grid."""
MAX_EPOCHS = 20_000
"""Source: API reference, HyperbandStrategyConfig, MaxResource."""


def check_ranges(definition: Definition) -> None:
    """Refuse ranges that cannot be searched."""
    seen: set[str] = set()
    n_ranges = 0
    for member, kind in KINDS.items():
        for each in definition.ranges.get(member) or ():
            n_ranges += 1
            name = each["Name"]
            if name in seen:
                raise ValidationException(f"ParameterRanges: hyperparameter [{name}] has two ranges.")
            if name in definition.static:
                raise ValidationException(
                    f"Hyperparameter [{name}] is in StaticHyperParameters and in {member}; "
                    "it can either be tuned or fixed."
                )
            seen.add(name)
            _check_range(member, kind, each)
    if not n_ranges:
        raise ValidationException("ParameterRanges must have at least one range.")
    if n_ranges > MAX_TUNED:
        raise ValidationException(f"ParameterRanges: {n_ranges} ranges; {MAX_TUNED} are allowed.")


def _check_range(member: str, kind: str, each: Mapping[str, Any]) -> None:
    name = each["Name"]
    if kind == "Categorical":
        if len(set(each["Values"])) < len(each["Values"]):
            raise ValidationException(f"{member}: hyperparameter [{name}] has a value twice in Values.")
        return
    where = f"{member}: hyperparameter [{name}], MinValue {each['MinValue']}, MaxValue {each['MaxValue']}"
    try:
        parameter = Parameter.from_range(kind, each)
    except ValueError as error:
        raise ValidationException(f"{where}: {error}.") from None
    if parameter.low > parameter.high or (kind == "Continuous" and parameter.low == parameter.high):
        raise ValidationException(f"{where}: MinValue must be less than MaxValue.")
    if parameter.scale == LOGARITHMIC and parameter.low <= 0:
        raise ValidationException(
            f"{where}: Logarithmic scaling works only for ranges that have only values greater than 0."
        )
    if parameter.scale == REVERSE and kind == "Integer":
        raise ValidationException(
            f"{where}: ReverseLogarithmic scaling works only for ContinuousParameterRanges."
        )
    if parameter.scale == REVERSE and not (parameter.low >= 0 and parameter.high < 1):
        raise ValidationException(
            f"{where}: ReverseLogarithmic scaling works only for ranges that are entirely within the range "
            "0<=x<1.0."
        )


def check_algorithm(definition: Definition, runtime: Runtime) -> None:
    """Hold objective, ranges and fixed values against what the algorithm, or the request, declares."""
    image = definition.document["AlgorithmSpecification"].get("TrainingImage", "")
    if runtime.kind != "builtin":
        given = definition.document["AlgorithmSpecification"].get("MetricDefinitions") or ()
        if definition.objective["MetricName"] not in {each["Name"] for each in given}:
            # Source: aws/amazon-sagemaker-examples#1207
            raise ValidationException(
                "A metric is required for this hyperparameter tuning job objective. Provide a metric in the "
                f"metric definitions: MetricDefinitions has no [{definition.objective['MetricName']}]."
            )
        return
    algorithm = algorithms.find(runtime.name)
    _check_objective(definition, algorithm, image)
    by_name = {name: each for each in algorithm.hyperparameters for name in (each.name, *each.aliases)}
    for member, kind in KINDS.items():
        for each in definition.ranges.get(member) or ():
            _check_tunable(by_name, member, kind, each, algorithm.name)
    tuned = {parameter.name for parameter in definition.space.parameters}
    passed_over = {each.name for each in algorithm.passed_over}
    for name, text in definition.static.items():
        if name.startswith("sagemaker_") or name in passed_over:
            continue
        if name not in by_name:
            raise ValidationException(_unknown("StaticHyperParameters", name, algorithm.name, by_name))
        try:
            by_name[name].read(unquoted(text))
        except CustomerError as error:
            raise ValidationException(f"StaticHyperParameters: {error}") from None
    known = {by_name[name].name for name in (*tuned, *definition.static) if name in by_name}
    required = [each.name for each in algorithm.hyperparameters if each.is_required]
    missing = sorted(set(required) - known)
    if missing:
        raise ValidationException(
            f"StaticHyperParameters: the [{algorithm.name}] algorithm requires {', '.join(missing)}."
        )


def _check_objective(definition: Definition, algorithm: algorithms.Algorithm, image: str) -> None:
    wanted, goal = definition.objective["MetricName"], definition.objective["Type"]
    tunable = {metric.name: metric for metric in algorithm.metrics if metric.is_tunable}
    if wanted not in tunable:
        raise ValidationException(
            f"The objective metric, [{wanted}], isn't valid for the [{image}] algorithm. Choose a valid "
            f"objective metric: {', '.join(sorted(tunable))}."
        )
    if tunable[wanted].goal != goal:
        raise ValidationException(
            f"The objective metric type, [{goal}], that you specified for objective metric, [{wanted}], "
            f"isn't valid for the [{image}] algorithm. Choose a valid objective metric type: "
            f"{tunable[wanted].goal}."
        )


def _check_tunable(
    by_name: Mapping[str, Hyperparameter], member: str, kind: str, each: Mapping[str, Any], algorithm: str
) -> None:
    name = each["Name"]
    if name not in by_name:
        raise ValidationException(_unknown(member, name, algorithm, by_name))
    declared = by_name[name]
    if declared.tunable is None:
        tunable = sorted({one.name for one in by_name.values() if one.tunable is not None})
        raise ValidationException(
            f"The hyperparameter, [{name}], isn't tunable for the [{algorithm}] algorithm. Choose from: "
            f"{', '.join(tunable)}."
        )
    numeric = isinstance(declared, Integer | Continuous)
    if (kind == "Continuous" and not isinstance(declared, Continuous)) or (kind == "Integer" and not numeric):
        raise ValidationException(
            f"{member}: hyperparameter [{name}] of the [{algorithm}] algorithm is of type {declared.kind}."
        )
    values = each["Values"] if kind == "Categorical" else (each["MinValue"], each["MaxValue"])
    for text in values:
        try:
            declared.read(unquoted(str(text)))
        except CustomerError as error:
            raise ValidationException(f"{member}: {error}") from None
    if kind == "Categorical" and isinstance(declared, Categorical) and isinstance(declared.tunable, tuple):
        foreign = sorted(set(map(unquoted, values)) - set(declared.tunable))
        if foreign:
            raise ValidationException(
                f"{member}: hyperparameter [{name}] cannot be tuned to {', '.join(foreign)}; "
                f"allowed: {', '.join(declared.tunable)}."
            )


def _unknown(member: str, name: str, algorithm: str, by_name: Mapping[str, Hyperparameter]) -> str:
    return (
        f"{member}: the [{algorithm}] algorithm has no hyperparameter [{name}]. There are: "
        f"{', '.join(sorted({each.name for each in by_name.values()}))}."
    )


def n_trials(config: Mapping[str, Any], definitions: list[Definition]) -> int | None:
    """Return the most trials of a job; None where only its runtime is limited.

    Raises
    ------
    ValidationException
        There is no limit, or it does not suit the space.
    """
    limits = config["ResourceLimits"]
    most = limits.get("MaxNumberOfTrainingJobs")
    combinations = sum(each.space.n_values for each in definitions)
    if config["Strategy"] == "Grid":
        return _n_of_grid(definitions, combinations, most)
    if most is None:
        if limits.get("MaxRuntimeInSeconds") is None:
            raise ValidationException(
                "ResourceLimits must have MaxNumberOfTrainingJobs or MaxRuntimeInSeconds; only a Grid "
                "strategy or Autotune does without."
            )
        return None
    if limits["MaxParallelTrainingJobs"] > most:
        raise ValidationException(
            f"ResourceLimits: MaxParallelTrainingJobs {limits['MaxParallelTrainingJobs']} must not be "
            f"greater than MaxNumberOfTrainingJobs {most}."
        )
    if combinations < most:
        # Source: aws/amazon-sagemaker-operator-for-k8s#123
        raise ValidationException(
            "You don't have enough combinations of hyperparameter ranges. The total number of hyperparameter "
            f"combinations for the provided ranges [{combinations:.1f}] must be equal or greater than the "
            f"value of MaxNumberOfJobs, [{most}]. Provide additional ranges."
        )
    return int(most)


def _n_of_grid(definitions: list[Definition], combinations: float, most: int | None) -> int:
    for definition in definitions:
        for member in ("IntegerParameterRanges", "ContinuousParameterRanges"):
            if definition.ranges.get(member):
                raise ValidationException(f"{member}: grid search only supports CategoricalParameterRanges.")
    if combinations > MAX_GRID or math.isinf(combinations):
        raise ValidationException(f"Grid search of {combinations:.0f} combinations; {MAX_GRID} are allowed.")
    if most is not None and most != combinations:
        raise ValidationException(
            f"ResourceLimits: MaxNumberOfTrainingJobs {most} must equal the number of combinations of a grid "
            f"search, {combinations:.0f}; or leave it out."
        )
    return int(combinations)


def check_strategy(config: Mapping[str, Any]) -> None:
    """Refuse members that do not go with the strategy."""
    strategy = config["Strategy"]
    given = config.get("StrategyConfig") or {}
    if strategy != "Hyperband" and given.get("HyperbandStrategyConfig"):
        raise ValidationException(
            f"StrategyConfig.HyperbandStrategyConfig is only allowed with Strategy Hyperband, not {strategy}."
        )
    if strategy == "Hyperband" and config.get("TrainingJobEarlyStoppingType") == "Auto":
        raise ValidationException(
            "TrainingJobEarlyStoppingType must be Off with Strategy Hyperband, which stops training jobs "
            "early by itself."
        )


def check_resources(least: int, longest: int) -> None:
    """Refuse resources between which no rung fits."""
    if least > longest or longest > MAX_EPOCHS:
        raise ValidationException(
            f"HyperbandStrategyConfig: MinResource {least} must not be greater than MaxResource {longest}, "
            f"nor that greater than {MAX_EPOCHS}."
        )
