"""IAM roles: what jobs run as."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from clary.kernel.errors import AwsError, ConflictException
from clary.resource.call import Call, as_tags, from_tags
from clary.resource.operation import operation
from clary.store import listing, records, tags
from clary.store.base import Duplicate
from clary.store.listing import Query
from clary.store.records import Record

NOUN = "IamRole"
GLOBAL = "aws-global"
"""IAM is not regional: its records lie in this one."""


def find_role(call: Call, name: str) -> Record | None:
    """Return the account's role of that name, or None."""
    record: Record | None = call.read(records.find, call.account, GLOBAL, NOUN, name)
    return record


def required(call: Call, name: str) -> Record:
    """Return the account's role of that name.

    Raises
    ------
    AwsError
        `NoSuchEntity`, 404: there is none.
    """
    record = find_role(call, name)
    if record is None:
        raise AwsError(f"The role with name {name} cannot be found.", code="NoSuchEntity", status=404)
    return record


def new_role(
    account: str, name: str, now: Any, *, path: str = "/", document: str = "", about: str = ""
) -> Record:
    """Return the record of a new role."""
    arn = f"arn:aws:iam::{account}:role{path}{name}"
    shown = {
        "Path": path,
        "RoleName": name,
        "RoleId": f"AROA{account}{zlib.crc32(name.encode()) % 10**5:05d}",
        "Arn": arn,
        "CreateDate": now,
        "AssumeRolePolicyDocument": document or json.dumps(TRUST),
        "Description": about,
        "MaxSessionDuration": 3600,
    }
    return Record(
        account=account, region=GLOBAL, noun=NOUN, key=name, arn=arn, status="", created=now, modified=now,
        document=shown, private={"attached": [], "inline": {}}, version=1,
    )  # fmt: skip


TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


@operation("GetRole")
def get_role(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a role."""
    return {"Role": _shown(call, required(call, request["RoleName"]))}


@operation("CreateRole")
def create_role(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Create a role; jobs of the account may be given it."""
    name = request["RoleName"]
    try:
        json.loads(request["AssumeRolePolicyDocument"])
    except ValueError:
        raise AwsError("This policy contains invalid Json", code="MalformedPolicyDocument") from None
    record = new_role(
        call.account,
        name,
        call.now,
        path=request.get("Path", "/"),
        document=request["AssumeRolePolicyDocument"],
        about=request.get("Description", ""),
    )

    def unit(conn: Connection) -> None:
        records.insert(conn, record)
        tags.put(conn, record.arn, from_tags(request.get("Tags")))

    try:
        call.write(unit)
    except Duplicate:
        raise ConflictException(
            f"Role with name {name} already exists.", code="EntityAlreadyExists"
        ) from None
    return {"Role": _shown(call, record)}


@operation("DeleteRole")
def delete_role(call: Call, request: Mapping[str, Any]) -> None:
    """Delete a role that no policy is attached to."""
    record = required(call, request["RoleName"])
    if record.private.get("attached"):
        raise ConflictException(
            "Cannot delete entity, must detach all policies first.", code="DeleteConflict"
        )
    call.write(records.delete, call.account, GLOBAL, NOUN, record.key)


@operation("ListRoles")
def list_roles(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the account's roles."""
    query = Query(
        account=call.account, region=GLOBAL, noun=NOUN, where=(), match="all", sort="key", descending=False,
        limit=1000, after=None,
    )  # fmt: skip
    prefix = request.get("PathPrefix", "/")
    found = call.read(listing.page, query).records
    return {
        "Roles": [_shown(call, each) for each in found if each.document["Path"].startswith(prefix)],
        "IsTruncated": False,
    }


@operation("AttachRolePolicy")
def attach_role_policy(call: Call, request: Mapping[str, Any]) -> None:
    """Attach a managed policy to a role."""
    record = required(call, request["RoleName"])
    attached = sorted({*record.private["attached"], request["PolicyArn"]})
    call.write(records.update, replace(record, private={**record.private, "attached": attached}))


@operation("DetachRolePolicy")
def detach_role_policy(call: Call, request: Mapping[str, Any]) -> None:
    """Detach a managed policy from a role."""
    record = required(call, request["RoleName"])
    attached = [arn for arn in record.private["attached"] if arn != request["PolicyArn"]]
    call.write(records.update, replace(record, private={**record.private, "attached": attached}))


@operation("ListAttachedRolePolicies")
def list_attached_role_policies(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the managed policies of a role."""
    record = required(call, request["RoleName"])
    policies = [
        {"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn} for arn in record.private["attached"]
    ]
    return {"AttachedPolicies": policies, "IsTruncated": False}


@operation("PutRolePolicy")
def put_role_policy(call: Call, request: Mapping[str, Any]) -> None:
    """Store an inline policy of a role."""
    record = required(call, request["RoleName"])
    inline = {**record.private["inline"], request["PolicyName"]: request["PolicyDocument"]}
    call.write(records.update, replace(record, private={**record.private, "inline": inline}))


@operation("ListRolePolicies")
def list_role_policies(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the names of a role's inline policies."""
    record = required(call, request["RoleName"])
    return {"PolicyNames": sorted(record.private["inline"]), "IsTruncated": False}


def _shown(call: Call, record: Record) -> dict[str, Any]:
    return {**record.document, "Tags": as_tags(call.read(tags.of, record.arn))}
