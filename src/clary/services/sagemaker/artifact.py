"""Artifact: something with an address: a data set, an image, a model. Address and version make it one."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.errors import ValidationException
from clary.resource.call import Call
from clary.resource.declare import Resource
from clary.resource.families import create
from clary.resource.operation import operation
from clary.services.sagemaker import _lineage as lineage
from clary.services.sagemaker._entities import group_of, made, removed, updated
from clary.services.sagemaker._experiments import CREATED

ARTIFACT = Resource(
    noun="Artifact",
    key="ArtifactArn",
    arn="artifact/{ArtifactArn}",
    missing_text="Artifact '{key}' does not exist.",
    taken="ValidationException",
    taken_text="Artifact with this source and these source types already exists ({arn}).",
    admit=made,
    view={"LineageGroupArn": group_of},
    filters={**CREATED, "SourceUri": "Source.SourceUri eq"},
)


@operation("CreateArtifact")
def create_artifact(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make one, or return the one that the source is already: its name is the hash of its source.

    SDK v2 creates it again when a run logs the same picture twice, and cannot go on without its ARN. One of
    another type is refused.
    """
    key = lineage.artifact_key(request["Source"])
    known = call.seek("Artifact", key)
    if known is not None and known.document["ArtifactType"] == request["ArtifactType"]:
        return {"ArtifactArn": known.arn}
    return create(ARTIFACT, call, {**request, "ArtifactArn": key})


@operation("UpdateArtifact")
def update_artifact(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Change its name and properties."""
    return updated(call, ARTIFACT, request, "ArtifactName")


@operation("DeleteArtifact")
def delete_artifact(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Delete one by ARN or source, once it is in no association."""
    if ("ArtifactArn" in request) == ("Source" in request):
        raise ValidationException("Give either ArtifactArn or Source.")
    key = request.get("ArtifactArn") or lineage.artifact_key(request["Source"])
    return removed(call, ARTIFACT, key)
