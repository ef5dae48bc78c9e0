"""Action: something that was done: a deployment, an approval."""

from collections.abc import Mapping
from typing import Any

from clary.resource.call import Call
from clary.resource.declare import Resource
from clary.resource.operation import operation
from clary.services.sagemaker._entities import group_of, made, removed, updated
from clary.services.sagemaker._experiments import CREATED, MISSING, TAKEN

ACTION = Resource(
    noun="Action",
    arn="action/{ActionName}",
    missing_text=MISSING,
    taken="ValidationException",
    taken_text=TAKEN,
    admit=made,
    view={"LineageGroupArn": group_of},
    filters={**CREATED, "SourceUri": "Source.SourceUri eq"},
)


@operation("UpdateAction")
def update_action(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Change its description, status and properties."""
    return updated(call, ACTION, request, "Description", "Status")


@operation("DeleteAction")
def delete_action(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Delete one that is in no association."""
    return removed(call, ACTION, request["ActionName"])
