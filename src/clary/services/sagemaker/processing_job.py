"""ProcessingJob: the noun, what is checked at Create, and its verbs; states are in `_processing_machine`."""

import posixpath
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from clary.compute import images
from clary.compute.base import Runtime
from clary.kernel.errors import ValidationException
from clary.resource.call import Call
from clary.resource.declare import NotFound, Resource
from clary.resource.operation import operation
from clary.services.sagemaker import _instances, _intents, _tracing
from clary.services.sagemaker._processing_machine import MACHINE
from clary.services.sagemaker.training_job import check_role
from clary.toolkit import processing

DEFAULT_MAX_RUNTIME_S = 86_400
"""Source: developer guide, processing jobs: one day."""


def admit(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a CreateProcessingJob beyond the model, and fill in what Describe always shows."""
    check_role(call, request["RoleArn"])
    _tracing.check(call, request)
    runtime = images.resolve(request["AppSpecification"]["ImageUri"], request["RoleArn"])
    _check_program(request, runtime)
    answer: dict[str, Any] = {
        "__private__": {"runtime": asdict(runtime)},
        "ProcessingResources": {"ClusterConfig": _cluster(request)},
        "StoppingCondition": {
            "MaxRuntimeInSeconds": DEFAULT_MAX_RUNTIME_S,
            **request.get("StoppingCondition", {}),
        },
    }
    if request.get("ProcessingInputs"):
        answer["ProcessingInputs"] = _inputs(request["ProcessingInputs"])
    if "ProcessingOutputConfig" in request:
        _check_outputs(request["ProcessingOutputConfig"])
    return answer


def _check_program(request: Mapping[str, Any], runtime: Runtime) -> None:
    if runtime.kind in {"processor", "container"} or request["AppSpecification"].get("ContainerEntrypoint"):
        return
    raise ValidationException(
        "AppSpecification.ContainerEntrypoint is required: image "
        f"'{request['AppSpecification']['ImageUri']}' "
        'has no processing program of its own. Give one, for example ["python3", '
        '"/opt/ml/processing/input/code/script.py"].'
    )


def _cluster(request: Mapping[str, Any]) -> dict[str, Any]:
    config = dict(request["ProcessingResources"]["ClusterConfig"])
    where = "ProcessingResources.ClusterConfig"
    for member in ("SelectedInstanceType", "SelectedInstanceCount"):
        if member in config:
            raise ValidationException(f"{where}.{member} is read-only; Describe answers it.")
    preferences = config.get("InstancePreferences")
    if preferences:
        if "InstanceType" in config:
            raise ValidationException(f"{where}: give InstanceType or InstancePreferences, not both.")
        for each in preferences:
            _instances.check(each["InstanceType"], "processing job")
        first = preferences[0]  # one machine: what is named first has capacity, or nothing has
        count = first.get("InstanceCount") or config.get("InstanceCount") or 1
        return {**config, "SelectedInstanceType": first["InstanceType"], "SelectedInstanceCount": count}
    if "InstanceType" not in config:
        raise ValidationException(f"{where} must have an InstanceType, or InstancePreferences.")
    _instances.check(config["InstanceType"], "processing job")
    return {"InstanceCount": 1, **config}


def _inputs(wanted: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    names: set[str] = set()
    paths: dict[str, str] = {}
    answer = []
    for each in wanted:
        name = each["InputName"]
        where = f"ProcessingInputs '{name}'"
        if name in names:
            raise ValidationException(f"{where}: the InputName is given twice; names must be unique.")
        names.add(name)
        if "DatasetDefinition" in each:
            kind = next((key for key in each["DatasetDefinition"] if key.endswith("DatasetDefinition")), "")
            raise ValidationException(
                f"{where}: DatasetDefinition{f'.{kind}' if kind else ''} is not served, as no Athena "
                "or Redshift is here; export the rows to S3 and give an S3Input."
            )
        if "S3Input" not in each:
            raise ValidationException(f"{where} must have an S3Input.")
        if each.get("AppManaged"):
            answer.append(dict(each))
            continue
        source = {
            "S3DataDistributionType": "FullyReplicated",
            "S3InputMode": "File",
            "S3CompressionType": "None",
            **each["S3Input"],
        }
        path = _check_input(where, source)
        if path in paths:
            raise ValidationException(
                f"{where}: LocalPath '{path}' is that of '{paths[path]}' already; paths must be unique."
            )
        paths[path] = name
        answer.append({"AppManaged": False, **each, "S3Input": source})
    return answer


def _check_input(where: str, source: Mapping[str, str]) -> str:
    """Check one S3Input; return its path."""
    path = source.get("LocalPath")
    if not path:
        raise ValidationException(f"{where}: S3Input.LocalPath is required when AppManaged is False.")
    if fault := processing.fault_of_path(path):
        raise ValidationException(f"{where}: S3Input.LocalPath '{path}': {fault}.")
    is_pipe = source["S3InputMode"] == "Pipe"
    if source["S3CompressionType"] == "Gzip" and not is_pipe:
        raise ValidationException(f"{where}: S3CompressionType 'Gzip' needs S3InputMode 'Pipe'.")
    if is_pipe and not path.startswith(f"{processing.ML}/"):
        raise ValidationException(
            f"{where}: S3InputMode 'Pipe' needs a LocalPath below {processing.ML}; it is '{path}'."
        )
    return posixpath.normpath(path)


def _check_outputs(config: Mapping[str, Any]) -> None:
    names: set[str] = set()
    for each in config["Outputs"]:
        name = each["OutputName"]
        where = f"ProcessingOutputConfig.Outputs '{name}'"
        if name in names:
            raise ValidationException(f"{where}: the OutputName is given twice; names must be unique.")
        names.add(name)
        if "FeatureStoreOutput" in each:
            raise ValidationException(f"{where}: FeatureStoreOutput is not served; give an S3Output.")
        if "S3Output" not in each:
            raise ValidationException(f"{where} must have an S3Output.")
        if each.get("AppManaged"):
            continue
        path = each["S3Output"].get("LocalPath")
        if not path:
            raise ValidationException(f"{where}: S3Output.LocalPath is required when AppManaged is False.")
        if fault := processing.fault_of_path(path):
            raise ValidationException(f"{where}: S3Output.LocalPath '{path}': {fault}.")


PROCESSING_JOB = Resource(
    noun="ProcessingJob",
    arn="processing-job/{ProcessingJobName}",
    status="ProcessingJobStatus",
    machine=MACHINE,
    missing=NotFound.VALIDATION,
    missing_text="Could not find requested job with name: {key}",
    taken_text=(
        "Job name must be unique within an AWS account and region, "
        "and a job with this name already exists ({arn})"
    ),
    admit=admit,
    note=_tracing.of_job,
    descending=False,
)


@operation("StopProcessingJob")
def stop_processing_job(call: Call, request: Mapping[str, Any]) -> None:
    """Ask a running job to end; SIGTERM, 120 s, then SIGKILL."""
    record = call.find("ProcessingJob", request["ProcessingJobName"])
    _intents.ask(call, record, MACHINE, "stop", state="Stopping")
