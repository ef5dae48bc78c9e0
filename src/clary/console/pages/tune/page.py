"""Tune: try a training job's hyperparameters in ranges, and keep the best."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.algorithms.base import Algorithm, Metric
from clary.console import catalog, snippets
from clary.console.visit import Answer, Context, Missing, Page, Redirect, Visit
from clary.kernel import ids
from clary.kernel.errors import AwsError, CustomerError
from clary.toolkit.hyperparameters import Hyperparameter, Recommended

PAGE = Page(path=r"/tune/([^/]+)", title="Tune", live_s=3600.0)
STRATEGIES = ("Bayesian", "Random", "Grid", "Hyperband")
SCALES = ("Linear", "Logarithmic", "ReverseLogarithmic")
FIRST = 3
"""Hyperparameters that are ticked when the form opens."""
LENGTHS = ("num_round", "epochs")
"""Those that make each trial longer: the customer's own choice."""
DEFINITION = frozenset(
    {
        "RoleArn",
        "InputDataConfig",
        "OutputDataConfig",
        "ResourceConfig",
        "StoppingCondition",
        "EnableNetworkIsolation",
        "EnableManagedSpotTraining",
        "CheckpointConfig",
        "Environment",
    }
)
"""Members of a training job that its trials take over as they are."""


def view(visit: Visit) -> Context:
    """Show the form."""
    name = visit.arguments[0]
    job, algorithm = _job(visit)
    asked = {
        "name": f"{name[:20].rstrip('-')}-{ids.short(6)}",
        "trials": "10",
        "parallel": "2",
        "strategy": STRATEGIES[0],
        "stopping": "Auto",
    }
    printed = {each["MetricName"] for each in job.get("FinalMetricDataList", ())}
    for each in _metrics(algorithm, job):
        if each.name in printed:
            asked.setdefault("objective", each.name)
    cheap = [each.name for each in _tunable(algorithm) if each.name not in LENGTHS]
    asked |= {f"tune:{each}": "on" for each in cheap[:FIRST]}
    for parameter in _tunable(algorithm):
        if isinstance(parameter.tunable, Recommended):
            low, high = parameter.tunable.min, parameter.tunable.max
            asked |= {f"low:{parameter.name}": f"{low:g}", f"high:{parameter.name}": f"{high:g}"}
            asked[f"scale:{parameter.name}"] = parameter.tunable.scale
        elif parameter.tunable:
            asked[f"values:{parameter.name}"] = ", ".join(parameter.tunable)
    return _form(visit, job, algorithm, asked)


def act(visit: Visit) -> Answer:
    """Start the tuning job; what is wrong is said above the form, which keeps what was typed."""
    job, algorithm = _job(visit)
    try:
        request = _request(visit.form, job, algorithm)
        visit.api.call("CreateHyperParameterTuningJob", **request)
    except AwsError as error:
        return _form(visit, job, algorithm, visit.form, error.message)
    except (ValueError, CustomerError) as error:
        return _form(visit, job, algorithm, visit.form, str(error))
    return Redirect(f"/jobs/tuning/{request['HyperParameterTuningJobName']}", "The tuning job was started.")


def _job(visit: Visit) -> tuple[Mapping[str, Any], Algorithm]:
    name = visit.arguments[0]
    try:
        job = visit.api.call("DescribeTrainingJob", TrainingJobName=name)
    except AwsError as error:
        raise Missing(f"Training job {name}: {error.message}") from None
    algorithm = catalog.algorithm_of(job)
    if algorithm is None:
        raise Missing(
            f"{name} ran a script or a container, and only its author knows what to try: "
            "the SDK's HyperparameterTuner tunes it."
        )
    return job, algorithm


def _tunable(algorithm: Algorithm) -> list[Hyperparameter]:
    return [each for each in algorithm.hyperparameters if each.tunable]


def _metrics(algorithm: Algorithm, job: Mapping[str, Any]) -> list[Metric]:
    """Return the metrics that a tuning job of these channels may aim at."""
    channels = {each["ChannelName"] for each in job.get("InputDataConfig", ())}
    known = {each.name for each in algorithm.channels}
    return [
        each
        for each in algorithm.metrics
        if each.is_tunable and (each.name.partition(":")[0] not in known - channels)
    ]


def _form(
    visit: Visit, job: Mapping[str, Any], algorithm: Algorithm, asked: Mapping[str, str], error: str = ""
) -> Context:
    return {
        "job": visit.arguments[0],
        "title": f"Tune {visit.arguments[0]}",
        "here": "/jobs/tuning",
        "algorithm": algorithm,
        "metrics": _metrics(algorithm, job),
        "parameters": _tunable(algorithm),
        "fixed": job.get("HyperParameters", {}),
        "strategies": STRATEGIES,
        "scales": SCALES,
        "asked": asked,
        "error": error,
    }


def _request(form: Mapping[str, str], job: Mapping[str, Any], algorithm: Algorithm) -> dict[str, Any]:
    chosen = [each for each in _tunable(algorithm) if form.get(f"tune:{each.name}")]
    if not chosen:
        raise ValueError("Tick at least one hyperparameter.")
    metric = next((each for each in algorithm.metrics if each.name == form.get("objective")), None)
    if metric is None:
        raise ValueError("Choose an objective.")
    if not all(form.get(name, "").isdecimal() for name in ("trials", "parallel")):
        raise ValueError("Trials are counted in whole numbers.")
    tuned = {each.name for each in chosen}
    fixed = {
        name: value
        for name, value in job.get("HyperParameters", {}).items()
        if name not in tuned and not name.startswith("_")
    }
    definition = snippets.chosen(job, DEFINITION)
    return {
        "HyperParameterTuningJobName": form.get("name", "").strip(),
        "HyperParameterTuningJobConfig": {
            "Strategy": form.get("strategy", STRATEGIES[0]),
            "HyperParameterTuningJobObjective": {"Type": metric.goal, "MetricName": metric.name},
            "ResourceLimits": {
                "MaxNumberOfTrainingJobs": int(form["trials"]),
                "MaxParallelTrainingJobs": int(form["parallel"]),
            },
            "ParameterRanges": _ranges(form, chosen),
            **(
                {}
                if form.get("strategy") == "Hyperband"
                else {"TrainingJobEarlyStoppingType": form.get("stopping", "Off")}
            ),
        },
        "TrainingJobDefinition": {
            **definition,
            "StaticHyperParameters": fixed,
            "AlgorithmSpecification": {
                name: job["AlgorithmSpecification"][name] for name in ("TrainingImage", "TrainingInputMode")
            },
        },
    }


def _ranges(form: Mapping[str, str], chosen: Sequence[Hyperparameter]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for each in chosen:
        if not isinstance(each.tunable, Recommended):
            values = [
                value.strip() for value in form.get(f"values:{each.name}", "").split(",") if value.strip()
            ]
            found.setdefault("CategoricalParameterRanges", []).append({"Name": each.name, "Values": values})
            continue
        ends = {
            "MinValue": form.get(f"low:{each.name}", "").strip(),
            "MaxValue": form.get(f"high:{each.name}", "").strip(),
        }
        scale = {"ScalingType": form.get(f"scale:{each.name}") or SCALES[0]}
        found.setdefault(f"{each.kind}ParameterRanges", []).append({"Name": each.name, **ends, **scale})
    return found
