"""What a model package must be: which members go together, what its containers run, what may change."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from clary.kernel.errors import ValidationException
from clary.resource.call import Call
from clary.services.sagemaker import _model_package_data as model_data
from clary.services.sagemaker.model import runtime_of
from clary.store.records import Record

UNSERVED = {
    "SourceAlgorithmSpecification": "algorithms are not served yet; give an InferenceSpecification",
    "SecurityConfig": "nothing here is encrypted by a key of KMS; leave it out",
    "ManagedStorageType": "model data stay where ModelDataUrl says; leave it out",
}
CLONED = (
    "AdditionalInferenceSpecifications",
    "CustomerMetadataProperties",
    "Domain",
    "DriftCheckBaselines",
    "MetadataProperties",
    "ModelMetrics",
    "SamplePayloadUrl",
    "Task",
)
"""Members that a clone has from its source, beside the InferenceSpecification, unless it is given its own."""
OF_MODEL = (
    "AdditionalModelDataSources",
    "ContainerHostname",
    "Environment",
    "Image",
    "ModelDataSource",
    "ModelDataUrl",
)
"""Members that a model's container and a package's container share."""
NEEDED_ALONE = ("SupportedTransformInstanceTypes", "SupportedRealtimeInferenceInstanceTypes")
"""Required for unversioned packages. Source: API reference, InferenceSpecification."""
REPLACED = (
    "ApprovalDescription",
    "ModelApprovalStatus",
    "ModelLifeCycle",
    "ModelPackageRegistrationType",
    "SourceUri",
)
"""Members that an Update sets as they are given."""
MAX_SPECIFICATIONS = 15
MAX_PROPERTIES = 50
"""Source: shapes `AdditionalInferenceSpecifications` and `CustomerMetadataMap`, `max`."""


def check_members(request: Mapping[str, Any]) -> None:
    """Check which members a CreateModelPackage has against each other."""
    is_versioned = "ModelPackageGroupName" in request
    if is_versioned and "ModelPackageName" in request:
        raise ValidationException(
            "Both ModelPackageName and ModelPackageGroupName are provided in the input. Give "
            "ModelPackageGroupName for a version of a group, ModelPackageName for a package of its own."
        )
    if not is_versioned and "ModelPackageName" not in request:
        raise ValidationException(
            "Give ModelPackageGroupName for a version of a group, ModelPackageName for a package of its own."
        )
    for member, why in UNSERVED.items():
        if member in request:
            raise ValidationException(f"{member}: {why}.")
    if request.get("CertifyForMarketplace"):
        raise ValidationException("CertifyForMarketplace true: there is no marketplace here; give false.")
    if is_versioned and request.get("Tags"):
        raise ValidationException(
            "Tags: a version has the tags of its ModelPackageGroupName; tag the group instead."
        )
    if "SourceUri" in request and not is_versioned:
        raise ValidationException("SourceUri is for versions: give it with ModelPackageGroupName.")
    if request.get("SkipModelValidation") == "All" and "ValidationSpecification" in request:
        raise ValidationException(
            "SkipModelValidation All: there is a ValidationSpecification to run; give one."
        )
    if not is_versioned:
        _check_alone(request)


def _check_alone(request: Mapping[str, Any]) -> None:
    specification = request.get("InferenceSpecification")
    if specification is None:
        raise ValidationException("InferenceSpecification is required with ModelPackageName.")
    for member in NEEDED_ALONE:
        if not specification.get(member):
            raise ValidationException(f"InferenceSpecification.{member} is required with ModelPackageName.")
    for place, each in enumerate(specification["Containers"], 1):
        if "ModelDataSource" in each:
            raise ValidationException(
                f"InferenceSpecification.Containers.{place}.ModelDataSource: with ModelPackageName give "
                "ModelDataUrl."
            )


def sourced(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a `SourceUri` that names a model or a model package adds to a request.

    Raises
    ------
    ValidationException
        It is not there, or an `InferenceSpecification` is given beside it.
    """
    uri = request.get("SourceUri", "")
    is_package, is_model = ":model-package/" in uri, ":model/" in uri
    if not uri.startswith("arn:") or not (is_package or is_model):
        return {}
    if "InferenceSpecification" in request:
        raise ValidationException(
            f"SourceUri '{uri}': what it names has the InferenceSpecification; give one of them."
        )
    if is_model:
        return {"InferenceSpecification": {"Containers": _of_model(call.find("Model", uri).document)}}
    source = call.find("ModelPackage", uri).document
    return {name: source[name] for name in ("InferenceSpecification", *CLONED) if name in source}


def _of_model(model: Mapping[str, Any]) -> list[dict[str, Any]]:
    several = [model["PrimaryContainer"]] if "PrimaryContainer" in model else model["Containers"]
    for each in several:
        if each.get("Mode", "SingleModel") != "SingleModel":
            raise ValidationException(
                f"SourceUri '{model['ModelArn']}': a package has no Mode, and this model's is {each['Mode']}."
            )
    return [{name: each[name] for name in OF_MODEL if each.get(name)} for each in several]


def specification(call: Call, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return an inference specification whose containers run here, with the ETags of what they serve."""
    containers = []
    for place, each in enumerate(given["Containers"], 1):
        try:
            runtime_of(each, call.principal)
        except ValidationException as error:
            raise ValidationException(f"{where}.Containers.{place}: {error.message}") from None
        containers.append(model_data.stamped(call, each))
    return {**given, "Containers": containers}


def additional(call: Call, given: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Return additional inference specifications, checked; no name is given twice."""
    checked = [
        specification(call, each, f"AdditionalInferenceSpecifications '{each['Name']}'") for each in given
    ]
    return joined((), checked)


def joined(present: Iterable[Mapping[str, Any]], more: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Return additional inference specifications with more of them; names are unique."""
    names, answer = set(), []
    for each in (*present, *more):
        if each["Name"] in names:
            raise ValidationException(
                f"AdditionalInferenceSpecifications: there is one with Name '{each['Name']}' already."
            )
        names.add(each["Name"])
        answer.append(each)
    if len(answer) > MAX_SPECIFICATIONS:
        raise ValidationException(
            f"AdditionalInferenceSpecifications: {len(answer)}; {MAX_SPECIFICATIONS} are allowed."
        )
    return answer


def card(given: Mapping[str, Any], present: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a model card as it is from now on; one in the archive keeps its content."""
    content = given.get("ModelCardContent")
    if content is not None:
        if present is not None and present.get("ModelCardStatus") == "Archived":
            raise ValidationException("Model Card is in Archived state.")
        _parsed(content)
    return {"ModelCardStatus": "Draft", "ModelCardContent": "{}", **(present or {}), **given}


def _parsed(content: str) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except ValueError as error:
        raise ValidationException(f"ModelCard.ModelCardContent is not JSON: {error}.") from None
    if not isinstance(parsed, dict):
        raise ValidationException("ModelCard.ModelCardContent must be a JSON object.")
    return parsed


def properties(present: Mapping[str, str], given: Mapping[str, str], gone: Iterable[str]) -> dict[str, str]:
    """Return customer metadata with some added and some removed."""
    merged = {**present, **given}
    for name in gone:
        merged.pop(name, None)
    if len(merged) > MAX_PROPERTIES:
        raise ValidationException(
            f"CustomerMetadataProperties: {len(merged)} properties; {MAX_PROPERTIES} are allowed."
        )
    return merged


def change_of(
    call: Call, package: Record, request: Mapping[str, Any]
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Check an UpdateModelPackage; return what makes the package's new document of its present one.

    Raises
    ------
    ValidationException
        A member is for versions only, or does not go with the others.
    """
    for member in ("ModelApprovalStatus", "ApprovalDescription", "ModelLifeCycle", "SourceUri"):
        if member in request and "ModelPackageVersion" not in package.document:
            raise ValidationException(f"{member}: {package.arn} is no version of a ModelPackageGroup.")
    ready = {**sourced(call, request), **request}
    if "InferenceSpecification" in ready:
        where = "InferenceSpecification"
        if "validation" in package.private:
            raise ValidationException(
                f"{where}: {package.private['validation']} validates {package.arn} with the one that it has; "
                "register another package."
            )
        ready[where] = specification(call, ready[where], where)
    more = additional(call, request.get("AdditionalInferenceSpecificationsToAdd", ()))

    def change(document: Mapping[str, Any]) -> dict[str, Any]:
        changed = dict(document)
        changed |= {name: ready[name] for name in (*REPLACED, "InferenceSpecification") if name in ready}
        if more:
            present = document.get("AdditionalInferenceSpecifications", [])
            changed["AdditionalInferenceSpecifications"] = joined(present, more)
        if "ModelCard" in request:
            changed["ModelCard"] = card(request["ModelCard"], document.get("ModelCard", {}))
        gone = request.get("CustomerMetadataPropertiesToRemove", ())
        kept = properties(
            changed.pop("CustomerMetadataProperties", {}), request.get("CustomerMetadataProperties", {}), gone
        )
        return changed | ({"CustomerMetadataProperties": kept} if kept else {})

    return change


def redacted(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a package without what its model card tells beside names and risk.

    Source
    ------
    API reference, DescribeModelPackage, `IncludedData`: "only a small set of unencrypted metadata fields".
    """
    if "ModelCard" not in document:
        return dict(document)
    whole = _parsed(document["ModelCard"]["ModelCardContent"])
    kept = {
        "model_overview": ("model_id", "model_name", "model_version"),
        "intended_uses": ("risk_rating",),
    }
    left = {
        part: {name: whole[part][name] for name in names if name in whole[part]}
        for part, names in kept.items()
        if isinstance(whole.get(part), dict)
    }
    return {**document, "ModelCard": {**document["ModelCard"], "ModelCardContent": json.dumps(left)}}
