"""What the nouns of lineage share: how one is made, described, changed and removed."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from clary.kernel.errors import ResourceLimitExceeded, ValidationException
from clary.resource.call import Call
from clary.resource.declare import Resource
from clary.services.sagemaker import _lineage as lineage
from clary.services.sagemaker._experiments import change, remove, signed_by
from clary.store import facets
from clary.store.conditions import code_of
from clary.store.records import Record
from clary.store.schema import scope_of

MAX_PROPERTIES = 30
"""Source: shapes `LineageEntityParameters` and `ArtifactProperties`, `max`."""


def made(call: Call, _request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fill in who made an entity."""
    return {"CreatedBy": signed_by(call.principal), "LastModifiedBy": signed_by(call.principal)}


def group_of(call: Call, _record: Record) -> str:
    """Return the ARN of the account's one lineage group."""
    return lineage.Home(call.account, call.region, call.now).arn(f"lineage-group/{lineage.DEFAULT_GROUP}")


def updated(call: Call, resource: Resource, request: Mapping[str, Any], *members: str) -> Mapping[str, Any]:
    """Change members that are given; properties are added to those that are there."""
    key = request[resource.name_member]

    def edit(document: dict[str, Any]) -> dict[str, Any]:
        document |= {name: request[name] for name in members if name in request}
        properties = {**document.get("Properties", {}), **request.get("Properties", {})}
        for gone in request.get("PropertiesToRemove", ()):
            properties.pop(gone, None)
        if len(properties) > MAX_PROPERTIES:
            raise ResourceLimitExceeded(f"Properties: {len(properties)}; {MAX_PROPERTIES} are allowed.")
        return document | {"Properties": properties}

    return {resource.arn_member: change(call, resource, key, edit).arn}


def removed(call: Call, resource: Resource, key: str) -> Mapping[str, Any]:
    """Delete an entity that is in no association."""
    return {resource.arn_member: remove(call, resource, key, _refuse_while_associated)}


def _refuse_while_associated(conn: Connection, record: Record) -> None:
    scope = scope_of(record.account, record.region, "Association")
    codes = [code_of(scope, path, record.arn) for path in ("SourceArn", "DestinationArn")]
    found = facets.records_with(conn, codes)
    if found:
        raise ValidationException(
            f"{record.arn} cannot be deleted: its {len(found)} associations must be deleted first."
        )
