"""TransformJob: the noun, what is checked at Create, and its verbs; states are in `_transform_machine`."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from clary.compute.containers import DIRECT
from clary.kernel.errors import ValidationException
from clary.resource.call import Call
from clary.resource.declare import NotFound, Resource
from clary.resource.operation import operation
from clary.services.sagemaker import _instances, _intents, _tracing
from clary.services.sagemaker._transform_machine import MACHINE
from clary.services.sagemaker.model import containers_of, runtime_of
from clary.toolkit.transform import jsonpath, records, split

MAX_PAYLOAD_MB = 100
"""Source: API reference, CreateTransformJob, MaxPayloadInMB: also of all concurrent ones together."""
SPLIT_TYPES = ("Line", "RecordIO", "TFRecord")
DATA_TYPES = ("S3Prefix", "ManifestFile")
MAX_INSTANCES = 100
"""Source: API reference, TransformResources."""


def admit(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a CreateTransformJob beyond the model, and freeze what it runs."""
    return admitted(call, request, model=call.find("Model", request["ModelName"]).document)


def admitted(call: Call, request: Mapping[str, Any], *, model: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a transform job of a described model, and freeze what it runs."""
    _tracing.check(call, request)
    resources = request["TransformResources"]
    _instances.check(resources["InstanceType"], "transform job")
    if resources["InstanceCount"] > MAX_INSTANCES:
        raise ValidationException(
            f"TransformResources.InstanceCount {resources['InstanceCount']}: at most {MAX_INSTANCES}."
        )
    source = {"CompressionType": "None", "SplitType": "None", **request["TransformInput"]}
    made = {"AssembleWith": "None", "KmsKeyId": "", **request["TransformOutput"]}
    processing = {
        "InputFilter": "$",
        "OutputFilter": "$",
        "JoinSource": "None",
        **request.get("DataProcessing", {}),
    }
    _check_places(source, made, request.get("DataCaptureConfig"))
    _check_payloads(request, source)
    _check_processing(request, source, processing)
    containers = _containers(request, model)
    return {
        "__private__": {
            "containers": containers,
            "runtimes": [asdict(runtime_of(each, model.get("ExecutionRoleArn", ""))) for each in containers],
            "role_arn": model.get("ExecutionRoleArn", ""),
            "is_isolated": model.get("EnableNetworkIsolation", False),
        },
        "TransformInput": source,
        "TransformOutput": made,
        "DataProcessing": processing,
    }


def _containers(request: Mapping[str, Any], model: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the model's containers, with what a batch adds to their environment."""
    containers = containers_of(model)
    if model.get("InferenceExecutionConfig", {}).get("Mode") == DIRECT and len(containers) > 1:
        raise ValidationException(
            f"ModelName '{request['ModelName']}': a transform job cannot choose among containers; "
            "InferenceExecutionConfig.Mode must be Serial, it is Direct."
        )
    if any(each.get("Mode") == "MultiModel" for each in containers):
        raise ValidationException(
            f"ModelName '{request['ModelName']}': a transform job cannot choose among models; its Mode "
            "must be SingleModel, it is MultiModel."
        )
    batch = {
        "SAGEMAKER_BATCH": "True",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(request.get("MaxPayloadInMB", split.DEFAULT_PAYLOAD_MB)),
        "SAGEMAKER_BATCH_STRATEGY": split.STRATEGIES[request.get("BatchStrategy", split.MULTI)],
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": str(request.get("MaxConcurrentTransforms") or 1),
    }
    return [
        {**each, "Environment": {**each.get("Environment", {}), **batch, **request.get("Environment", {})}}
        for each in containers
    ]


def _check_places(
    source: Mapping[str, Any], made: Mapping[str, Any], capture: Mapping[str, Any] | None
) -> None:
    where = source["DataSource"]["S3DataSource"]
    if where["S3DataType"] not in DATA_TYPES:
        raise ValidationException(
            f"TransformInput.DataSource.S3DataSource.S3DataType '{where['S3DataType']}' is not supported by "
            f"transform jobs; it must be one of {', '.join(DATA_TYPES)}."
        )
    uris = {
        "TransformInput.DataSource.S3DataSource.S3Uri": where["S3Uri"],
        "TransformOutput.S3OutputPath": made["S3OutputPath"],
    }
    if capture is not None:
        uris["DataCaptureConfig.DestinationS3Uri"] = capture["DestinationS3Uri"]
    for member, uri in uris.items():
        if not uri.startswith("s3://"):
            raise ValidationException(f"{member} '{uri}' must be an S3 URI, s3://bucket/prefix.")


def _check_payloads(request: Mapping[str, Any], source: Mapping[str, Any]) -> None:
    payload_mb = request.get("MaxPayloadInMB", 0)
    concurrency = request.get("MaxConcurrentTransforms", 0)
    if payload_mb > MAX_PAYLOAD_MB:
        raise ValidationException(
            f"MaxPayloadInMB {payload_mb}: it cannot be greater than {MAX_PAYLOAD_MB} MB."
        )
    if concurrency * payload_mb > MAX_PAYLOAD_MB:
        raise ValidationException(
            f"MaxConcurrentTransforms {concurrency} * MaxPayloadInMB {payload_mb}: the product cannot exceed "
            f"{MAX_PAYLOAD_MB} MB."
        )
    if request.get("BatchStrategy") == "SingleRecord" and source["SplitType"] not in SPLIT_TYPES:
        raise ValidationException(
            "BatchStrategy SingleRecord needs TransformInput.SplitType to be one of "
            f"{', '.join(SPLIT_TYPES)}; it is {source['SplitType']}."
        )


def _check_processing(
    request: Mapping[str, Any], source: Mapping[str, Any], processing: Mapping[str, Any]
) -> None:
    """Check filters and joins against each other and against the formats."""
    paths = {}
    for member in ("InputFilter", "OutputFilter"):
        try:
            paths[member] = jsonpath.parse(processing[member])
        except jsonpath.PathError as error:
            raise ValidationException(
                f"DataProcessing.{member} is not a supported JSONPath expression: {error}. "
                "Supported are $, .name, ['name','name'], [0,-1], [1:] and *."
            ) from error
    joins = processing["JoinSource"] == "Input"
    is_stamped = bool((request.get("DataCaptureConfig") or {}).get("GenerateInferenceId"))
    if not joins and not is_stamped and all(path.is_whole for path in paths.values()):
        return
    kind = records.kind_of(source.get("ContentType", ""))
    if not kind:
        raise ValidationException(
            f"TransformInput.ContentType '{source.get('ContentType', '')}': DataProcessing and "
            f"GenerateInferenceId need one of {', '.join(records.KINDS)}."
        )
    accept = request["TransformOutput"].get("Accept", "")
    if accept not in {"", "*/*"} and records.family_of(accept) not in {"", records.family_of(kind)}:
        raise ValidationException(
            f"TransformOutput.Accept '{accept}' cannot be joined or filtered with "
            f"TransformInput.ContentType '{source['ContentType']}'; they must be of the same kind."
        )
    if source["SplitType"] in {"RecordIO", "TFRecord"}:
        raise ValidationException(
            f"TransformInput.SplitType {source['SplitType']}: DataProcessing needs Line or None."
        )
    if joins and source["SplitType"] == "Line" and request["TransformOutput"].get("AssembleWith") == "None":
        raise ValidationException(
            "TransformOutput.AssembleWith must be Line when DataProcessing.JoinSource is Input and "
            "TransformInput.SplitType is Line; it is None."
        )
    for member, path in paths.items():
        if kind == records.CSV and not path.is_of_columns:
            raise ValidationException(
                f"DataProcessing.{member} '{path.text}': columns of CSV are chosen by index, as in $[0,2:]."
            )


TRANSFORM_JOB = Resource(
    noun="TransformJob",
    arn="transform-job/{TransformJobName}",
    status="TransformJobStatus",
    machine=MACHINE,
    missing=NotFound.VALIDATION,  # as of training jobs; the SDKs look for the code
    missing_text="Could not find requested job with name: {key}",
    taken_text=(
        "Job name must be unique within an AWS account and region, "
        "and a job with this name already exists ({arn})"
    ),
    admit=admit,
    note=_tracing.of_job,
)


@operation("StopTransformJob")
def stop_transform_job(call: Call, request: Mapping[str, Any]) -> None:
    """Ask a running job to end; what it has published stays."""
    _intents.ask(
        call, call.find("TransformJob", request["TransformJobName"]), MACHINE, "stop", state="Stopping"
    )
