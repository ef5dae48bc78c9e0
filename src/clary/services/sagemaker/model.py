"""Model: an image and the artefact that it serves, or several of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clary.compute import images
from clary.compute.base import Runtime
from clary.compute.containers import DIRECT, name_of
from clary.kernel.errors import ValidationException
from clary.kernel.registry import stems
from clary.resource.call import Call
from clary.resource.declare import SINCE, NotFound, Resource
from clary.resource.families import create
from clary.resource.operation import operation
from clary.services.sagemaker import _model_data, _tracing
from clary.services.sagemaker import _model_package_containers as packages
from clary.services.sagemaker.training_job import check_role

DEFAULTS: Mapping[str, Any] = {"Environment": {}, "Mode": "SingleModel"}
"""Members of every container that the service shows."""


def admit(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a CreateModel beyond the model: containers that can be served, alone and together."""
    if request.get("ExecutionRoleArn"):
        check_role(call, request["ExecutionRoleArn"])
    containers = list(request.get("Containers", ()))
    if "PrimaryContainer" in request and containers:
        raise ValidationException("Give PrimaryContainer or Containers, not both.")
    if "PrimaryContainer" not in request and not containers:
        raise ValidationException("CreateModel needs a PrimaryContainer or one of Containers.")
    mode = request.get("InferenceExecutionConfig", {}).get("Mode")
    if mode and not containers:
        raise ValidationException(f"InferenceExecutionConfig.Mode '{mode}' is for models with Containers.")
    for container in (request.get("PrimaryContainer"), *containers):
        if container is not None:
            runtime_of(container, request.get("ExecutionRoleArn", ""))
            _model_data.check(call, container)
    _check_several(containers, is_direct=mode == DIRECT)
    shown: dict[str, Any] = {"EnableNetworkIsolation": request.get("EnableNetworkIsolation", False)}
    if "PrimaryContainer" in request:
        return shown | {"PrimaryContainer": {**DEFAULTS, **request["PrimaryContainer"]}}
    return shown | {"Containers": [{**DEFAULTS, **each} for each in containers]}


def _check_several(containers: Sequence[Mapping[str, Any]], *, is_direct: bool) -> None:
    """Check containers against each other: their names, and how they are asked."""
    names = [each["ContainerHostname"] for each in containers if each.get("ContainerHostname")]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise ValidationException(f"Containers: ContainerHostname '{name}' is given twice.")
    if len(names) < len(containers) and (names or is_direct):
        place = next(n for n, each in enumerate(containers, 1) if not each.get("ContainerHostname"))
        why = "InferenceExecutionConfig.Mode Direct needs it" if is_direct else "another has one"
        raise ValidationException(f"Containers.{place}.ContainerHostname must be given: {why}.")
    for place, each in enumerate(containers, 1):
        if len(containers) > 1 and each.get("Mode", "SingleModel") != "SingleModel":
            raise ValidationException(
                f"Containers.{place}.Mode '{each['Mode']}' is not served among several containers; give "
                "SingleModel."
            )


def containers_of(model: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the containers of a described model, in their order; each of several has a hostname."""
    if "PrimaryContainer" in model:
        return [dict(model["PrimaryContainer"])]
    several = list(model["Containers"])
    if len(several) == 1:
        return [dict(several[0])]
    return [{**each, "ContainerHostname": name_of(each, place)} for place, each in enumerate(several)]


def runtime_of(container: Mapping[str, Any], role_arn: str = "") -> Runtime:
    """Return what serves a container: its image's runtime, as a framework's when it brings a script.

    Raises
    ------
    ValidationException
        The container has no image of its own, or lacks what its mode needs.
    """
    _check_mode(container)
    if "ModelDataUrl" in container and "ModelDataSource" in container:
        raise ValidationException("Give ModelDataUrl or ModelDataSource, not both.")
    if not container.get("Image"):
        raise ValidationException("The container must have an Image.")
    runtime = images.resolve(container["Image"], role_arn)
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


@operation("CreateModel")
def create_model(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Create one; the model packages that it names are resolved now, and may change or go afterwards."""
    return create(MODEL, call, packages.resolved(call, request))
