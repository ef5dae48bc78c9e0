"""Context: what other entities belong to: an endpoint, a model group."""

from collections.abc import Mapping
from typing import Any

from clary.resource.call import Call
from clary.resource.declare import Resource
from clary.resource.operation import operation
from clary.services.sagemaker._entities import group_of, made, removed, updated
from clary.services.sagemaker._experiments import CREATED, MISSING, TAKEN

CONTEXT = Resource(
    noun="Context",
    arn="context/{ContextName}",
    missing_text=MISSING,
    taken="ValidationException",
    taken_text=TAKEN,
    admit=made,
    view={"LineageGroupArn": group_of},
    filters={**CREATED, "SourceUri": "Source.SourceUri eq"},
)


@operation("UpdateContext")
def update_context(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Change its description and properties."""
    return updated(call, CONTEXT, request, "Description")


@operation("DeleteContext")
def delete_context(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Delete one that is in no association."""
    return removed(call, CONTEXT, request["ContextName"])
