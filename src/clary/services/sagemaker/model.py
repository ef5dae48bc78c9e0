"""Model: an image and the artefact that it serves."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.compute import images
from clary.compute.base import Runtime
from clary.kernel.errors import ValidationException
from clary.kernel.registry import stems
from clary.resource.call import Call
from clary.resource.declare import SINCE, NotFound, Resource
from clary.services.sagemaker import _tracing
from clary.services.sagemaker.training_job import check_role


def admit(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a CreateModel beyond the model: one container that can be served."""
    if request.get("ExecutionRoleArn"):
        check_role(call, request["ExecutionRoleArn"])
    containers = list(request.get("Containers", ()))
    if "PrimaryContainer" in request and containers:
        raise ValidationException("Give PrimaryContainer or Containers, not both.")
    if len(containers) > 1:
        raise ValidationException(
            f"Containers: {len(containers)} make an inference pipeline, which is not served yet; give one."
        )
    container = request.get("PrimaryContainer") or next(iter(containers), None)
    if container is None:
        raise ValidationException("CreateModel needs a PrimaryContainer or one of Containers.")
    runtime_of(container)
    shown: dict[str, Any] = {"EnableNetworkIsolation": request.get("EnableNetworkIsolation", False)}
    if "PrimaryContainer" in request:
        shown["PrimaryContainer"] = {"Environment": {}, "Mode": "SingleModel", **container}
    return shown


def runtime_of(container: Mapping[str, Any]) -> Runtime:
    """Return what serves a container: its image's runtime, as a framework's when it brings a script.

    Raises
    ------
    ValidationException
        The container has no image of its own, or lacks what its mode needs.
    """
    if "ModelPackageName" in container:
        raise ValidationException(
            f"ModelPackageName '{container['ModelPackageName']}': packages are not served yet; give an Image."
        )
    _check_mode(container)
    if "ModelDataUrl" in container and "ModelDataSource" in container:
        raise ValidationException("Give ModelDataUrl or ModelDataSource, not both.")
    if not container.get("Image"):
        raise ValidationException("The container must have an Image.")
    runtime = images.resolve(container["Image"])
    has_script = "SAGEMAKER_PROGRAM" in container.get("Environment", {})
    if runtime.name in stems("clary.algorithms") and not has_script:
        return replace(runtime, kind="builtin")
    return runtime


def _check_mode(container: Mapping[str, Any]) -> None:
    """Check what a container of several models must have, and one of a single model must not."""
    if container.get("Mode", "SingleModel") == "SingleModel":
        if "MultiModelConfig" in container:
            raise ValidationException("MultiModelConfig is for containers whose Mode is MultiModel.")
        return
    if "ModelDataSource" in container:
        raise ValidationException("ModelDataSource: with Mode MultiModel give ModelDataUrl, an S3 prefix.")
    url = container.get("ModelDataUrl", "")
    if not url.startswith("s3://") or not url[5:].partition("/")[0]:
        raise ValidationException(
            f"ModelDataUrl '{url}' must be the S3 prefix of the models, such as s3://bucket/models/, when "
            "Mode is MultiModel."
        )


MODEL = Resource(
    noun="Model",
    arn="model/{ModelName}",
    missing=NotFound.VALIDATION,  # the SDKs look for this code and "Could not find"
    missing_text='Could not find model "{arn}".',
    taken="ValidationException",
    taken_text='Cannot create already existing model "{arn}".',
    admit=admit,
    note=_tracing.of_model,
    filters=SINCE,
)
