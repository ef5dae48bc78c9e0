"""Tags of any ARN: AddTags, DeleteTags, ListTags."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.errors import ResourceLimitExceeded, ValidationException
from clary.resource.call import Call, as_tags, from_tags
from clary.resource.operation import operation
from clary.store import records, tags

MAX_TAGS = 50
"""Source: developer guide, "Tag restrictions"."""


@operation("AddTags")
def add_tags(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Set tags; a key that exists gets the new value."""
    arn = _existing(call, request["ResourceArn"])
    given = from_tags(request["Tags"])
    for key in given:
        if key.lower().startswith("aws:"):
            raise ValidationException(f"Tags: key '{key}' must not start with 'aws:'.")
    merged = {**call.read(tags.of, arn), **given}
    if len(merged) > MAX_TAGS:
        raise ResourceLimitExceeded(f"Tags: {len(merged)} tags on {arn}; {MAX_TAGS} are allowed.")
    call.write(tags.put, arn, given)
    return {"Tags": as_tags(merged)}


@operation("DeleteTags")
def delete_tags(call: Call, request: Mapping[str, Any]) -> None:
    """Remove tags by key; unknown keys are ignored."""
    call.write(tags.remove, _existing(call, request["ResourceArn"]), list(request["TagKeys"]))


@operation("ListTags")
def list_tags(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the tags of a resource; they fit one page."""
    return {"Tags": call.tags_of(_existing(call, request["ResourceArn"]))}


def _existing(call: Call, arn: str) -> str:
    call.own(arn)
    if call.read(records.find_by_arn, arn) is None:
        raise ValidationException(f"Could not find resource with ARN '{arn}'.")
    return arn
