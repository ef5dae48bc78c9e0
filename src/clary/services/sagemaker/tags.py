"""Tags of any ARN: AddTags, DeleteTags, ListTags."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from clary.kernel.errors import ResourceLimitExceeded, ValidationException
from clary.resource.call import Call, as_tags, from_tags
from clary.resource.operation import operation
from clary.store import records, tags

MAX_TAGS = 50
"""Source: developer guide, "Tag restrictions"."""


@operation("AddTags")
def add_tags(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Set tags; a key that exists gets the new value."""
    arn, given = request["ResourceArn"], from_tags(request["Tags"])
    call.own(arn)

    def unit(conn: Connection) -> dict[str, str]:
        expect(conn, call, arn)
        merged = {**tags.of(conn, arn), **given}
        if len(merged) > MAX_TAGS:
            raise ResourceLimitExceeded(f"Tags: {len(merged)} tags on {arn}; {MAX_TAGS} are allowed.")
        tags.put(conn, arn, given)
        return merged

    return {"Tags": as_tags(call.write(unit))}


@operation("DeleteTags")
def delete_tags(call: Call, request: Mapping[str, Any]) -> None:
    """Remove tags by key; unknown keys are ignored."""
    arn = request["ResourceArn"]
    call.own(arn)

    def unit(conn: Connection) -> None:
        expect(conn, call, arn)
        tags.remove(conn, arn, request["TagKeys"])

    call.write(unit)


@operation("ListTags")
def list_tags(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the tags of a resource; they fit one page."""
    arn = request["ResourceArn"]
    if request.get("NextToken"):
        raise ValidationException("NextToken is not a token that this operation gave out.")
    call.own(arn)
    call.read(expect, call, arn)
    return {"Tags": call.tags_of(arn)}


def expect(conn: Connection, call: Call, arn: str) -> None:
    """Make sure that the caller's region has a resource of this ARN.

    Raises
    ------
    ValidationException
        It has none.
    """
    record = records.find_by_arn(conn, arn)
    if record is None or (record.account, record.region) != (call.account, call.region):
        raise ValidationException(f"Could not find resource with ARN '{arn}' in {call.region}.")
