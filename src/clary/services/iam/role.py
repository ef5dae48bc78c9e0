"""IAM roles: what jobs run as."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from clary.kernel.errors import AwsError, ConflictException
from clary.resource.call import Call, as_tags, from_tags
from clary.resource.listing import run_raw
from clary.resource.operation import operation
from clary.store import records, tags
from clary.store.base import Duplicate
from clary.store.listing import Condition, Query
from clary.store.records import Record

NOUN = "IamRole"
GLOBAL = "aws-global"
"""IAM is not regional: its records lie in this one."""
PAGE = 100
"""Source: API reference, ListRoles, MaxItems."""


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
        raise _no_entity(f"The role with name {name} cannot be found.")
    return record


def _no_entity(text: str) -> AwsError:
    return AwsError(text, code="NoSuchEntity", status=404)


def _no_policy(name: str) -> AwsError:
    return _no_entity(f"The role policy with name {name} cannot be found.")


def _check_policy(document: str) -> None:
    try:
        is_policy = isinstance(json.loads(document), dict)
    except ValueError:
        is_policy = False
    if not is_policy:
        raise AwsError("This policy contains invalid Json", code="MalformedPolicyDocument")


def new_role(
    account: str,
    name: str,
    now: Any,
    *,
    path: str = "/",
    document: str = "",
    about: str = "",
    max_session_s: int = 3600,
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
        "MaxSessionDuration": max_session_s,
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
    _check_policy(request["AssumeRolePolicyDocument"])
    given = from_tags(request.get("Tags"))
    record = new_role(
        call.account,
        name,
        call.now,
        path=request.get("Path", "/"),
        document=request["AssumeRolePolicyDocument"],
        about=request.get("Description", ""),
        max_session_s=int(request.get("MaxSessionDuration", 3600)),
    )

    def unit(conn: Connection) -> None:
        records.insert(conn, record)
        tags.put(conn, record.arn, given)

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
    if record.private.get("inline"):
        raise ConflictException("Cannot delete entity, must delete policies first.", code="DeleteConflict")

    def unit(conn: Connection) -> None:
        records.delete(conn, call.account, GLOBAL, NOUN, record.key)
        tags.drop(conn, record.arn)

    call.write(unit)


@operation("ListRoles")
def list_roles(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the account's roles."""
    prefix = request.get("PathPrefix", "/")
    query = Query(
        account=call.account, region=GLOBAL, noun=NOUN, where=(Condition("Path", "prefix", prefix),),
        sort="key", descending=False, limit=int(request.get("MaxItems", PAGE)),
    )  # fmt: skip
    found, token = run_raw(call, query, request.get("Marker"))
    answer = {"Roles": [dict(each.document) for each in found], "IsTruncated": token is not None}
    return answer | ({"Marker": token} if token else {})


@operation("AttachRolePolicy")
def attach_role_policy(call: Call, request: Mapping[str, Any]) -> None:
    """Attach a managed policy to a role."""

    def change(record: Record) -> Record:
        attached = sorted({*record.private["attached"], request["PolicyArn"]})
        return replace(record, private={**record.private, "attached": attached})

    call.amend(required(call, request["RoleName"]), change)


@operation("DetachRolePolicy")
def detach_role_policy(call: Call, request: Mapping[str, Any]) -> None:
    """Detach a managed policy from a role."""

    def change(record: Record) -> Record:
        attached = [arn for arn in record.private["attached"] if arn != request["PolicyArn"]]
        if len(attached) == len(record.private["attached"]):
            raise _no_entity(f"Policy {request['PolicyArn']} was not found.")
        return replace(record, private={**record.private, "attached": attached})

    call.amend(required(call, request["RoleName"]), change)


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
    _check_policy(request["PolicyDocument"])

    def change(record: Record) -> Record:
        inline = {**record.private["inline"], request["PolicyName"]: request["PolicyDocument"]}
        return replace(record, private={**record.private, "inline": inline})

    call.amend(required(call, request["RoleName"]), change)


@operation("GetRolePolicy")
def get_role_policy(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an inline policy of a role."""
    name = request["PolicyName"]
    inline = required(call, request["RoleName"]).private["inline"]
    if name not in inline:
        raise _no_policy(name)
    return {"RoleName": request["RoleName"], "PolicyName": name, "PolicyDocument": inline[name]}


@operation("DeleteRolePolicy")
def delete_role_policy(call: Call, request: Mapping[str, Any]) -> None:
    """Delete an inline policy of a role."""
    name = request["PolicyName"]

    def change(record: Record) -> Record:
        inline = dict(record.private["inline"])
        if inline.pop(name, None) is None:
            raise _no_policy(name)
        return replace(record, private={**record.private, "inline": inline})

    call.amend(required(call, request["RoleName"]), change)


@operation("ListRolePolicies")
def list_role_policies(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the names of a role's inline policies."""
    record = required(call, request["RoleName"])
    return {"PolicyNames": sorted(record.private["inline"]), "IsTruncated": False}


def _shown(call: Call, record: Record) -> dict[str, Any]:
    return {**record.document, "Tags": as_tags(call.read(tags.of, record.arn))}
