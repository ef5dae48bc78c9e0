"""Buckets: the service-level verbs of S3, which decide whose a bucket is.

Objects stream through the edge to the object store; only what makes, lists and removes buckets comes here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from clary.kernel.errors import AwsError
from clary.resource.call import Call
from clary.resource.listing import run_raw
from clary.resource.operation import operation
from clary.store import records
from clary.store.base import Duplicate
from clary.store.listing import Condition, Query
from clary.store.records import Record
from clary.toolkit import buckets
from clary.toolkit.objects import Objects

NOUN = "Bucket"
REGION = "aws-global"
OWNERS = "000000000000"
"""Account under which the names of all buckets are kept: they are unique across accounts."""
LIMIT = 10_000
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_IP_ADDRESS = re.compile(r"(\d+\.){3}\d+")
_RESERVED_PREFIXES = ("xn--", "sthree-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


@dataclass(frozen=True)
class Owner:
    """Whose a bucket is."""

    account: str


def owner_of(conn: Connection, name: str) -> Owner | None:
    """Return whose the bucket is, or None for an unknown one."""
    record = records.find(conn, OWNERS, REGION, NOUN, name)
    return Owner(record.document["Account"]) if record else None


def _objects(call: Call) -> Objects:
    objects: Objects = call.world.extras["objects"]
    return objects


@operation("ListBuckets")
def list_buckets(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the caller's buckets."""
    prefix, region = request.get("Prefix", ""), request.get("BucketRegion", "")
    where = [Condition("Account", "eq", call.account)]
    where += [Condition("key", "prefix", prefix)] if prefix else []
    where += [Condition("Region", "eq", region)] if region else []
    query = Query(
        account=OWNERS,
        region=REGION,
        noun=NOUN,
        where=tuple(where),
        sort="key",
        descending=False,
        limit=int(request.get("MaxBuckets", LIMIT)),
    )
    found, token = run_raw(call, query, request.get("ContinuationToken"))
    answer: dict[str, Any] = {
        "Buckets": [
            {"Name": each.key, "CreationDate": each.created, "BucketRegion": each.document["Region"]}
            for each in found
        ],
        "Owner": {"ID": call.account, "DisplayName": call.account},
    }
    if prefix:
        answer["Prefix"] = prefix
    return answer | ({"ContinuationToken": token} if token else {})


def check_name(name: str) -> None:
    """Refuse a name that S3 does not allow.

    Raises
    ------
    AwsError
        `InvalidBucketName`. Source: S3 user guide, General purpose bucket naming rules.
    """
    if (
        not _NAME.fullmatch(name)
        or ".." in name
        or _IP_ADDRESS.fullmatch(name)
        or name.startswith(_RESERVED_PREFIXES)
        or name.endswith(_RESERVED_SUFFIXES)
    ):
        raise AwsError(
            f"The specified bucket is not valid: '{name}' must be 3 to 63 lower-case letters, digits, dots "
            "and hyphens, beginning and ending with a letter or digit, no IP address, without two dots in a "
            "row and without the prefixes and suffixes that S3 reserves.",
            code="InvalidBucketName",
        )


def _region_of(call: Call, request: Mapping[str, Any]) -> str:
    """Return the region of a new bucket; what is asked for must be the endpoint's, or that the classic one.

    Raises
    ------
    AwsError
        `IllegalLocationConstraintException`, as S3 in any other region.
    """
    asked = request.get("CreateBucketConfiguration", {}).get("LocationConstraint", "")
    asked = "eu-west-1" if asked == "EU" else asked  # its first name
    if asked and call.region not in {asked, "us-east-1", ""}:  # the classic endpoint serves every region
        raise AwsError(
            f"The {asked} location constraint is incompatible for the region specific endpoint this request "
            f"was sent to, which is {call.region}'s.",
            code="IllegalLocationConstraintException",
        )
    return asked or call.region or "us-east-1"  # SigV2 names no region


@operation("CreateBucket")
def create_bucket(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make a bucket of the caller's; making one's own again changes nothing."""
    name = request["Bucket"]
    check_name(name)
    region = _region_of(call, request)
    known = call.read(owner_of, name)
    if known is not None:
        return _existing(call, name, known)
    buckets.make(_objects(call), name)
    record = Record(
        account=OWNERS,
        region=REGION,
        noun=NOUN,
        key=name,
        arn=f"arn:aws:s3:::{name}",
        status="",
        created=call.now,
        modified=call.now,
        document={"Name": name, "Account": call.account, "Region": region},
        private={},
        version=1,
    )
    try:
        call.write(records.insert, record)
    except Duplicate:
        return _existing(call, name, call.read(owner_of, name))  # another came first
    call.world.publish("bucket", name, {"account": call.account})
    return {"Location": f"/{name}"}


def _existing(call: Call, name: str, known: Owner | None) -> Mapping[str, Any]:
    """Answer the Create of a bucket that exists."""
    if known is None or known.account != call.account:
        raise AwsError(
            "The requested bucket name is not available. The bucket namespace is shared by all users of the "
            "system. Please select a different name and try again.",
            code="BucketAlreadyExists",
            status=409,
        )
    if call.region in {"us-east-1", ""}:  # as S3: a second Create of one's own is an error everywhere else
        return {"Location": f"/{name}"}
    raise AwsError(
        "Your previous request to create the named bucket succeeded and you already own it.",
        code="BucketAlreadyOwnedByYou",
        status=409,
    )


@operation("GetBucketLocation")
def get_bucket_location(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the region of a bucket of the caller's; the classic one has no name here."""
    name = request["Bucket"]
    _expect_own(call, name, request.get("ExpectedBucketOwner"))
    region = call.read(records.find, OWNERS, REGION, NOUN, name).document["Region"]
    return {} if region == "us-east-1" else {"LocationConstraint": region}


def _expect_own(call: Call, name: str, expected: str | None = None) -> None:
    """Refuse what is no bucket of the caller's.

    Raises
    ------
    AwsError
        `NoSuchBucket` or `AccessDenied`.
    """
    known = call.read(owner_of, name)
    if known is None:
        raise AwsError("The specified bucket does not exist", code="NoSuchBucket", status=404)
    if known.account != call.account or expected not in {None, known.account}:
        raise AwsError("Access Denied", code="AccessDenied", status=403)


@operation("DeleteBucket")
def delete_bucket(call: Call, request: Mapping[str, Any]) -> None:
    """Remove an empty bucket of the caller's."""
    name = request["Bucket"]
    _expect_own(call, name)
    try:
        buckets.remove(_objects(call), name)
    except buckets.NotEmptyError:
        text = "The bucket you tried to delete is not empty"
        raise AwsError(text, code="BucketNotEmpty", status=409) from None
    call.write(records.delete, OWNERS, REGION, NOUN, name)
    call.world.publish("bucket", name, None)
