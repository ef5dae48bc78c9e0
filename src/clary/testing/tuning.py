"""Factories and waits for tests of hyperparameter tuning jobs: plain functions with defaults."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from clary.kernel import ids
from clary.testing.jobs import Account, script_request, training_request, upload_script

ENDED = frozenset({"Completed", "Failed", "Stopped"})
RANGES: Mapping[str, Any] = {
    "ContinuousParameterRanges": [
        {"Name": "eta", "MinValue": "0.01", "MaxValue": "0.5", "ScalingType": "Logarithmic"}
    ],
    "IntegerParameterRanges": [{"Name": "max_depth", "MinValue": "1", "MaxValue": "8"}],
}
CURVES = """
import json, os, time
given = json.loads(os.environ["SM_HPS"])
assert "_tuning_objective_metric" not in given, given
for epoch in range(int(given["epochs"])):
    print(f"loss={float(given['level']) + 1 / (epoch + 1):.4f}", flush=True)
    time.sleep(float(given["pause"]))
"""
LEVELS: Mapping[str, Any] = {
    "CategoricalParameterRanges": [{"Name": "level", "Values": ["0", "1", "2", "5", "6", "7", "8", "9"]}]
}
"""Ranges of a script of `CURVES`: a few levels that its loss falls to."""
FIXED: Mapping[str, str] = {"num_round": "5", "objective": "binary:logistic"}


def training_definition(
    account: Account,
    bucket: str,
    *,
    static: Mapping[str, str] | None = None,
    channels: Iterable[str] = ("train", "validation"),
    **members: Any,
) -> dict[str, Any]:
    """Return a TrainingJobDefinition of built-in XGBoost on CSV."""
    request = training_request(account, bucket, channels=channels)
    copied = (
        "AlgorithmSpecification",
        "RoleArn",
        "InputDataConfig",
        "OutputDataConfig",
        "ResourceConfig",
        "StoppingCondition",
    )
    return {
        **{member: request[member] for member in copied if member in request},
        "StaticHyperParameters": dict(FIXED if static is None else static),
        **members,
    }


def script_definition(account: Account, bucket: str, text: str = CURVES, **static: str) -> dict[str, Any]:
    """Return a TrainingJobDefinition of a script that prints `loss=<number>`."""
    request = script_request(account, bucket, upload_script(account, bucket, text))
    return training_definition(
        account,
        bucket,
        static=request["HyperParameters"] | static,
        AlgorithmSpecification=request["AlgorithmSpecification"]
        | {"MetricDefinitions": [{"Name": "loss", "Regex": r"loss=(\S+)"}]},
        InputDataConfig=training_definition(account, bucket)["InputDataConfig"][:1],
    )


def tuning_request(
    account: Account,
    bucket: str,
    *,
    strategy: str = "Random",
    n: int | None = 4,
    parallel: int = 2,
    ranges: Mapping[str, Any] | None = None,
    metric: str = "validation:auc",
    goal: str = "Maximize",
    definition: Mapping[str, Any] | None = None,
    **config: Any,
) -> dict[str, Any]:
    """Return a CreateHyperParameterTuningJob request with one definition.

    Parameters
    ----------
    config : Any
        Members of HyperParameterTuningJobConfig to add.
    """
    limits: dict[str, Any] = {"MaxParallelTrainingJobs": parallel}
    if n is not None:
        limits["MaxNumberOfTrainingJobs"] = n
    return {
        "HyperParameterTuningJobName": f"tune-{ids.short()}",
        "HyperParameterTuningJobConfig": {
            "Strategy": strategy,
            "HyperParameterTuningJobObjective": {"Type": goal, "MetricName": metric},
            "ResourceLimits": limits,
            "ParameterRanges": dict(RANGES if ranges is None else ranges),
            **config,
        },
        "TrainingJobDefinition": dict(definition or training_definition(account, bucket)),
    }


def wait_for_tuning(
    account: Account, name: str, *, limit_s: float = 120.0, every_s: float = 0.1
) -> dict[str, Any]:
    """Return DescribeHyperParameterTuningJob once the job has ended."""
    client = account.client("sagemaker")
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        described: dict[str, Any] = client.describe_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name
        )
        if described["HyperParameterTuningJobStatus"] in ENDED:
            return described
        time.sleep(every_s)
    raise TimeoutError(f"{name} is still {described['HyperParameterTuningJobStatus']} after {limit_s} s")


def tuned(
    account: Account, request: Mapping[str, Any], *, limit_s: float = 120.0, every_s: float = 0.1
) -> dict[str, Any]:
    """Create a tuning job and return its description once it has ended."""
    account.client("sagemaker").create_hyper_parameter_tuning_job(**request)
    name = request["HyperParameterTuningJobName"]
    return wait_for_tuning(account, name, limit_s=limit_s, every_s=every_s)


def trials_of(account: Account, name: str, **query: Any) -> list[dict[str, Any]]:
    """Return the summaries of all trials, by name unless the query says otherwise."""
    pages = account.client("sagemaker").get_paginator("list_training_jobs_for_hyper_parameter_tuning_job")
    asked = {"HyperParameterTuningJobName": name, **query}
    return [each for page in pages.paginate(**asked) for each in page["TrainingJobSummaries"]]
