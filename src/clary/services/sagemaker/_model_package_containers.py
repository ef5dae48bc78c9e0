"""A model's containers that name a model package: what stands in it, resolved when the model is created."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.errors import ValidationException
from clary.resource.call import Call
from clary.store.records import Record

OWN = ("Image", "ModelDataUrl", "ModelDataSource", "AdditionalModelDataSources", "MultiModelConfig")
"""Members of a container that a package brings, or rules out."""
BROUGHT = ("ContainerHostname", "Image", "ModelDataUrl", "ModelDataSource", "AdditionalModelDataSources")
MAX_CONTAINERS = 15
"""Source: shape `ContainerDefinitionList`, `max`."""


def resolved(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a CreateModel request in which containers stand for the model packages that it names.

    A package of several containers in `PrimaryContainer` makes a pipeline: they become `Containers`.

    Raises
    ------
    AccessDenied
        A package belongs to another account.
    ValidationException
        There is no such package, it is not approved, or it has nothing to serve.
    """
    answer = dict(request)
    if "PrimaryContainer" in request:
        found = _resolved(call, request["PrimaryContainer"])
        if len(found) == 1:
            answer["PrimaryContainer"] = found[0]
        elif "Containers" not in request:  # both are refused with the rest
            del answer["PrimaryContainer"]
            answer["Containers"] = found
    if "Containers" in request:
        answer["Containers"] = [made for each in request["Containers"] for made in _resolved(call, each)]
    n_containers = len(answer.get("Containers", ()))
    if n_containers > MAX_CONTAINERS:
        raise ValidationException(
            f"Containers: {n_containers} with those of the model packages; {MAX_CONTAINERS} are allowed."
        )
    return answer


def _resolved(call: Call, container: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "ModelPackageName" in container:
        return _of_package(call, container)
    if "InferenceSpecificationName" in container:
        raise ValidationException("InferenceSpecificationName is for containers with a ModelPackageName.")
    return [dict(container)]


def _of_package(call: Call, container: Mapping[str, Any]) -> list[dict[str, Any]]:
    name = container["ModelPackageName"]
    for member in OWN:
        if member in container:
            raise ValidationException(
                f"{member}: ModelPackageName '{name}' brings its own; give one of them."
            )
    if container.get("Mode", "SingleModel") != "SingleModel":
        raise ValidationException(f"Mode '{container['Mode']}': ModelPackageName '{name}' is a single model.")
    package = call.find("ModelPackage", name)
    _check(package)
    parts = _specification(package, container.get("InferenceSpecificationName", ""))["Containers"]
    if len(parts) > 1 and "ContainerHostname" in container:
        raise ValidationException(
            f"ContainerHostname '{container['ContainerHostname']}': ModelPackageName '{name}' has "
            f"{len(parts)} containers, which bring their own."
        )
    given = {key: value for key, value in container.items() if key not in {"Environment", "ModelPackageName"}}
    return [
        {
            **{key: part[key] for key in BROUGHT if key in part},
            **given,
            "ModelPackageName": package.arn,
            "Environment": {**part.get("Environment", {}), **container.get("Environment", {})},
        }
        for part in parts
    ]


def _check(package: Record) -> None:
    if package.status != "Completed":
        raise ValidationException(
            f"Cannot create a model from ModelPackage {package.arn}: its ModelPackageStatus is "
            f"{package.status}; it must be Completed."
        )
    approval = package.document.get("ModelApprovalStatus", "Approved")
    if approval != "Approved":
        raise ValidationException(
            f"Cannot create a model from ModelPackage {package.arn}: its ModelApprovalStatus is {approval}; "
            "it must be Approved. UpdateModelPackage sets it."
        )


def _specification(package: Record, name: str) -> Mapping[str, Any]:
    """Return the inference specification that is meant: the package's own, or an additional one by name."""
    own = package.document.get("InferenceSpecification")
    if not name:
        if own is None:
            raise ValidationException(
                f"ModelPackage {package.arn} has no InferenceSpecification; UpdateModelPackage gives it one."
            )
        return dict(own)
    more = package.document.get("AdditionalInferenceSpecifications", ())
    for each in more:
        if each["Name"] == name:
            return dict(each)
    names = ", ".join(each["Name"] for each in more) or "none"
    raise ValidationException(
        f"InferenceSpecificationName '{name}': ModelPackage {package.arn} has these additional ones: {names}."
    )
