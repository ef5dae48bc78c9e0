"""Programs that do what a page shows: the request that made a job, for boto3."""

import json
from collections.abc import Mapping
from pprint import pformat
from typing import Any

from clary.compute import images

BUILT_IN = (*images.ALGORITHMS, "sagemaker-xgboost")
CREATE: Mapping[str, frozenset[str]] = {
    "TrainingJob": frozenset(
        {
            "TrainingJobName",
            "HyperParameters",
            "AlgorithmSpecification",
            "RoleArn",
            "InputDataConfig",
            "OutputDataConfig",
            "ResourceConfig",
            "StoppingCondition",
            "EnableNetworkIsolation",
            "EnableManagedSpotTraining",
            "CheckpointConfig",
            "Environment",
            "ExperimentConfig",
            "RetryStrategy",
        }
    ),
    "ProcessingJob": frozenset(
        {
            "ProcessingJobName",
            "ProcessingInputs",
            "ProcessingOutputConfig",
            "ProcessingResources",
            "StoppingCondition",
            "AppSpecification",
            "Environment",
            "NetworkConfig",
            "RoleArn",
            "ExperimentConfig",
        }
    ),
    "TransformJob": frozenset(
        {
            "TransformJobName",
            "ModelName",
            "MaxConcurrentTransforms",
            "ModelClientConfig",
            "MaxPayloadInMB",
            "BatchStrategy",
            "Environment",
            "TransformInput",
            "TransformOutput",
            "DataCaptureConfig",
            "TransformResources",
            "DataProcessing",
            "ExperimentConfig",
        }
    ),
    "HyperParameterTuningJob": frozenset(
        {
            "HyperParameterTuningJobName",
            "HyperParameterTuningJobConfig",
            "TrainingJobDefinition",
            "TrainingJobDefinitions",
            "WarmStartConfig",
            "Autotune",
        }
    ),
}
"""Members of each Create's input that Describe repeats. Source: the service model."""


def request_of(noun: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request that makes a job like one that was described."""
    return chosen(document, CREATE[noun])


def chosen(document: Mapping[str, Any], members: frozenset[str]) -> dict[str, Any]:
    """Return the members of a described document that its Create takes, without those that say nothing."""
    kept = {
        name: value for name, value in document.items() if name in members and value not in ({}, [], None, "")
    }
    if "AlgorithmSpecification" in kept:
        kept["AlgorithmSpecification"] = _algorithm(document, "HyperParameters")
    if "TrainingJobDefinition" in kept:
        kept["TrainingJobDefinition"] = _definition(kept["TrainingJobDefinition"])
    if "TrainingJobDefinitions" in kept:
        kept["TrainingJobDefinitions"] = [_definition(each) for each in kept["TrainingJobDefinitions"]]
    return kept


def _definition(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return trials' definition without what Create adds to it."""
    values = document.get("StaticHyperParameters", {})
    return {
        **document,
        "AlgorithmSpecification": _algorithm(document, "StaticHyperParameters"),
        "StaticHyperParameters": {
            name: value for name, value in values.items() if name != "_tuning_objective_metric"
        },
    }


def _algorithm(document: Mapping[str, Any], values: str) -> Mapping[str, Any]:
    """Return what runs; Create refuses to be given a built-in algorithm's own table of metrics."""
    algorithm: Mapping[str, Any] = document["AlgorithmSpecification"]
    image = algorithm.get("TrainingImage", "")
    is_ours = bool(image) and images.parse(image).repository in BUILT_IN
    if not is_ours or document.get(values, {}).get("sagemaker_program"):
        return algorithm
    return {name: value for name, value in algorithm.items() if name != "MetricDefinitions"}


def boto3(noun: str, request: Mapping[str, Any]) -> str:
    """Return a program that creates a job."""
    members = ",\n".join(f"    {name}={spelled(value)}" for name, value in request.items())
    operation = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in f"Create{noun}")
    return (
        f'import boto3\n\nsagemaker = boto3.client("sagemaker")\nsagemaker.{operation[1:]}(\n{members},\n)\n'
    )


def spelled(value: Any) -> str:
    """Return a value as a program has it, indented below its name."""
    return pformat(value, width=96, sort_dicts=False).replace("\n", "\n    ")


def decoded(value: str) -> Any:
    """Return a hyperparameter of a script as the SDK was given it."""
    try:
        return json.loads(value)
    except ValueError:
        return value
