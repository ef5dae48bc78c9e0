"""TrainingJob: the noun, what is checked at Create, and its verbs. Its states are in `_training_machine`."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from clary.compute import images
from clary.compute.base import Runtime
from clary.kernel.errors import AccessDenied, ValidationException
from clary.kernel.registry import member, stems
from clary.resource.call import Call
from clary.resource.declare import NotFound, Resource
from clary.resource.operation import operation
from clary.services.sagemaker import _instances, _intents, _tracing
from clary.services.sagemaker._training_machine import MACHINE
from clary.store.records import Record

NEEDED = ("AlgorithmSpecification", "RoleArn", "OutputDataConfig", "ResourceConfig")
"""Members that the model leaves open for serverless jobs, and that every other job must have."""
DEFAULT_MAX_RUNTIME_S = 86_400
"""Source: shape `StoppingCondition`, default of one day."""


def admit(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a CreateTrainingJob beyond the model, and fill in what Describe always shows."""
    for name in NEEDED:
        if name not in request:
            raise ValidationException(f"{name} is required: serverless training jobs are not served.")
    check_role(call, request["RoleArn"])
    _tracing.check(call, request)
    specification = dict(request["AlgorithmSpecification"])
    if "AlgorithmName" in specification:
        raise ValidationException(
            f"AlgorithmSpecification.AlgorithmName '{specification['AlgorithmName']}': algorithms are not "
            "served yet; give a TrainingImage."
        )
    if not specification.get("TrainingImage"):
        raise ValidationException("AlgorithmSpecification must have a TrainingImage or an AlgorithmName.")
    runtime = runtime_of(request)
    resources = _resources(request)
    stopping = {"MaxRuntimeInSeconds": DEFAULT_MAX_RUNTIME_S, **request.get("StoppingCondition", {})}
    _check_spot(request, stopping)
    specification.setdefault("EnableSageMakerMetricsTimeSeries", False)
    declared = metric_definitions(runtime)
    if declared or specification.get("MetricDefinitions"):
        specification["MetricDefinitions"] = declared or specification["MetricDefinitions"]
    output = {"KmsKeyId": "", "CompressionType": "GZIP", **request["OutputDataConfig"]}
    job_name = request["TrainingJobName"]
    suffix = "model.tar.gz" if output["CompressionType"] == "GZIP" else "model/"
    return {
        "__private__": {"runtime": asdict(runtime)},
        "AlgorithmSpecification": specification,
        "ResourceConfig": resources,
        "StoppingCondition": stopping,
        "OutputDataConfig": output,
        "InputDataConfig": _channels(request),
        "HyperParameters": dict(request.get("HyperParameters", {})),
        "ModelArtifacts": {
            "S3ModelArtifacts": f"{output['S3OutputPath'].rstrip('/')}/{job_name}/output/{suffix}"
        },
        "EnableNetworkIsolation": request.get("EnableNetworkIsolation", False),
        "EnableInterContainerTrafficEncryption": request.get("EnableInterContainerTrafficEncryption", False),
        "EnableManagedSpotTraining": request.get("EnableManagedSpotTraining", False),
    }


def check_role(call: Call, role_arn: str) -> None:
    """Refuse a role of another account: roles are passed within one.

    Raises
    ------
    AccessDenied
        The role's account is not the caller's.
    """
    account = role_arn.split(":")[4] if role_arn.count(":") >= 5 else ""
    if account != call.account:
        raise AccessDenied(
            f"Cross-account pass role is not allowed: RoleArn '{role_arn}' is not of account {call.account}. "
            "Pass the role that get_execution_role() returns."
        )


def runtime_of(request: Mapping[str, Any]) -> Runtime:
    """Return what the training image resolves to; the XGBoost image without a script is the algorithm."""
    specification = request["AlgorithmSpecification"]
    runtime = images.resolve(specification["TrainingImage"], request.get("RoleArn", ""))
    has_script = "sagemaker_program" in request.get("HyperParameters", {})
    if runtime.name in stems("clary.algorithms") and not has_script:
        kind = "framework" if specification.get("ContainerEntrypoint") else "builtin"
        return replace(runtime, kind=kind)
    return runtime


def metric_definitions(runtime: Runtime) -> list[dict[str, str]]:
    """Return the metric table of a built-in algorithm, in the shape of `MetricDefinitions`."""
    if runtime.kind != "builtin":
        return []
    definition = member(f"clary.algorithms.{runtime.name}", "definition").DEFINITION
    return [{"Name": metric.name, "Regex": metric.regex} for metric in definition.metrics]


def _resources(request: Mapping[str, Any]) -> dict[str, Any]:
    resources = dict(request["ResourceConfig"])
    groups = resources.get("InstanceGroups")
    if groups:
        for group in groups:
            _instances.check(group["InstanceType"], "training job")
        return resources
    if "InstanceType" not in resources or "InstanceCount" not in resources:
        raise ValidationException(
            "ResourceConfig must have InstanceType and InstanceCount, or InstanceGroups."
        )
    _instances.check(resources["InstanceType"], "training job")
    return resources


def _check_spot(request: Mapping[str, Any], stopping: Mapping[str, Any]) -> None:
    wait = stopping.get("MaxWaitTimeInSeconds")
    if not request.get("EnableManagedSpotTraining"):
        if wait is not None:
            raise ValidationException(
                f"StoppingCondition.MaxWaitTimeInSeconds {wait}: only allowed with EnableManagedSpotTraining."
            )
        return
    if wait is None or wait < stopping["MaxRuntimeInSeconds"]:
        raise ValidationException(
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to "
            f"MaxRuntimeInSeconds ({stopping['MaxRuntimeInSeconds']}) with spot training; it is {wait}."
        )


def _channels(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    names: set[str] = set()
    answer = []
    for channel in request.get("InputDataConfig", ()):
        name = channel["ChannelName"]
        if name in names:
            raise ValidationException(
                f"InputDataConfig: ChannelName '{name}' is given twice; names must be unique."
            )
        names.add(name)
        source = dict(channel["DataSource"])
        if "S3DataSource" in source:
            source["S3DataSource"] = {"S3DataDistributionType": "FullyReplicated", **source["S3DataSource"]}
        elif "FileSystemDataSource" in source:
            raise ValidationException(
                f"InputDataConfig channel '{name}': FileSystemDataSource is not served; use S3DataSource."
            )
        answer.append(
            {"CompressionType": "None", "RecordWrapperType": "None", **channel, "DataSource": source}
        )
    return answer


TRAINING_JOB = Resource(
    noun="TrainingJob",
    arn="training-job/{TrainingJobName}",
    status="TrainingJobStatus",
    machine=MACHINE,
    missing=NotFound.VALIDATION,  # what the service sends: aws/aws-sdk#165
    missing_text="Requested resource not found.",
    taken_text=(
        "Job name must be unique within an AWS account and region, "
        "and a job with this name already exists ({arn})"
    ),
    admit=admit,
    note=_tracing.of_job,
    filters={"WarmPoolStatusEquals": "WarmPoolStatus.Status eq"},
    descending=False,
    deletable=frozenset({"Completed", "Failed", "Stopped"}),
)


@operation("StopTrainingJob")
def stop_training_job(call: Call, request: Mapping[str, Any]) -> None:
    """Ask a running job to end; SIGTERM, 120 s, then SIGKILL."""
    record = call.find("TrainingJob", request["TrainingJobName"])
    _intents.ask(call, record, MACHINE, "stop", state="Stopping")


def interrupt(call: Call, name: str) -> None:
    """Take a managed spot job's machine away, as a rehearsal; it starts again from its checkpoint."""
    record = call.find("TrainingJob", name)
    if not record.document.get("EnableManagedSpotTraining"):
        raise ValidationException(f"Training job '{name}' does not use EnableManagedSpotTraining.")
    _intents.ask(call, record, MACHINE, "interrupt")


@operation("UpdateTrainingJob")
def update_training_job(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Change what may change while a job runs: profiler, warm-pool and remote-debug settings."""
    record = call.find("TrainingJob", request["TrainingJobName"])

    def change(record: Record) -> Record:
        changed = sorted({"ProfilerConfig", "ProfilerRuleConfigurations", "RemoteDebugConfig"} & set(request))
        if changed and record.status != "InProgress":
            raise ValidationException(
                f"{', '.join(changed)}: only a running training job can be changed; "
                f"{record.key} is in status {record.status}."
            )
        document = dict(record.document)
        for name in ("ProfilerConfig", "RemoteDebugConfig", "ResourceConfig"):
            if name in request:
                document[name] = {**document.get(name, {}), **request[name]}
        if "ProfilerRuleConfigurations" in request:
            document["ProfilerRuleConfigurations"] = request["ProfilerRuleConfigurations"]
        return replace(record, document=document, modified=call.now)

    call.amend(record, change)
    return {"TrainingJobArn": record.arn}
