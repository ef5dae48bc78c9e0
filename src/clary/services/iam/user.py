"""IAM users: people and programs with keys of their own; they may do all in their account."""

import zlib
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from clary.kernel.errors import AwsError, ConflictException
from clary.resource.call import Call, as_tags, from_tags
from clary.resource.listing import run_raw
from clary.resource.operation import operation
from clary.services.iam.role import GLOBAL, PAGE
from clary.store import listing, records, tags
from clary.store.base import Duplicate
from clary.store.listing import Condition, Query
from clary.store.records import Record

NOUN, KEY_NOUN = "IamUser", "IamAccessKey"


def found_user(call: Call, name: str) -> Record:
    """Return the account's user of that name.

    Raises
    ------
    AwsError
        `NoSuchEntity`, 404: there is none.
    """
    record: Record | None = call.read(records.find, call.account, GLOBAL, NOUN, name)
    if record is None:
        raise AwsError(f"The user with name {name} cannot be found.", code="NoSuchEntity", status=404)
    return record


def principal_of(account: str, name: str, path: str = "/") -> str:
    """Return the ARN of a user."""
    return f"arn:aws:iam::{account}:user{path}{name}"


def keys_of(call: Call, name: str) -> list[Record]:
    """Return the access keys of a user, active or not."""
    where = (Condition("UserName", "eq", name),)
    query = Query(call.account, GLOBAL, KEY_NOUN, where, descending=False, limit=PAGE)
    return list(call.read(listing.page, query).records)


@operation("CreateUser")
def create_user(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Create a user; its keys come with CreateAccessKey."""
    name, path = request["UserName"], request.get("Path", "/")
    if request.get("PermissionsBoundary"):
        raise AwsError(
            "PermissionsBoundary is not served: users may do all in their account.", code="InvalidInput"
        )
    arn, given = principal_of(call.account, name, path), from_tags(request.get("Tags"))
    shown = {
        "Path": path,
        "UserName": name,
        "UserId": f"AIDA{call.account}{zlib.crc32(name.encode()) % 10**5:05d}",
        "Arn": arn,
        "CreateDate": call.now,
    }
    record = Record(call.account, GLOBAL, NOUN, name, arn, "", call.now, call.now, shown)

    def unit(conn: Connection) -> None:
        records.insert(conn, record)
        tags.put(conn, arn, given)

    try:
        call.write(unit)
    except Duplicate:
        raise ConflictException(
            f"User with name {name} already exists.", code="EntityAlreadyExists"
        ) from None
    return {"User": {**shown, "Tags": as_tags(given)}}


@operation("ListUsers")
def list_users(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the account's users."""
    where = (Condition("Path", "prefix", request.get("PathPrefix", "/")),)
    limit = int(request.get("MaxItems", PAGE))
    query = Query(call.account, GLOBAL, NOUN, where, sort="key", descending=False, limit=limit)
    found, token = run_raw(call, query, request.get("Marker"))
    answer = {"Users": [dict(each.document) for each in found], "IsTruncated": token is not None}
    return answer | ({"Marker": token} if token else {})


@operation("DeleteUser")
def delete_user(call: Call, request: Mapping[str, Any]) -> None:
    """Delete a user that has no keys."""
    record = found_user(call, request["UserName"])
    if keys_of(call, record.key):
        raise ConflictException("Cannot delete entity, must delete access keys first.", code="DeleteConflict")

    def unit(conn: Connection) -> None:
        records.delete(conn, call.account, GLOBAL, NOUN, record.key)
        tags.drop(conn, record.arn)

    call.write(unit)


@operation("GetUser")
def get_user(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a user; without a name the caller as one."""
    own = call.principal.rpartition("/")[2]
    name = request.get("UserName", own)
    if name != own or ":user/" in call.principal:
        record = found_user(call, name)
        return {"User": {**record.document, "Tags": call.tags_of(record.arn)}}
    return {
        "User": {
            "Path": "/",
            "UserName": name,
            "UserId": f"AIDA{call.account}CLARY",
            "Arn": principal_of(call.account, name),
            "CreateDate": call.now,
        }
    }


@operation("ListAccountAliases")
def list_account_aliases(_call: Call, _request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return no aliases: accounts go by their ids."""
    return {"AccountAliases": [], "IsTruncated": False}
