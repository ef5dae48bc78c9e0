"""Buckets: the service-level verbs of S3, which decide whose a bucket is.

Objects stream through the edge to the object store; only what makes, lists and removes buckets comes here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from clary.kernel.errors import AwsError
from clary.resource.call import Call
from clary.resource.operation import operation
from clary.store import listing, records
from clary.store.base import Duplicate
from clary.store.listing import Query
from clary.store.records import Record
from clary.toolkit.objects import NotEmptyError, Objects

NOUN = "Bucket"
REGION = "aws-global"
OWNERS = "000000000000"
"""Account under which the names of all buckets are kept: they are unique across accounts."""
LIMIT = 10_000


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
    query = Query(
        account=OWNERS,
        region=REGION,
        noun=NOUN,
        where=(listing.Condition("Account", "eq", call.account),),
        match="all",
        sort="key",
        descending=False,
        limit=LIMIT,
        after=None,
    )
    prefix = request.get("Prefix", "")
    found = [each for each in call.read(listing.page, query).records if each.key.startswith(prefix)]
    return {
        "Buckets": [{"Name": each.key, "CreationDate": each.created} for each in found],
        "Owner": {"ID": call.account, "DisplayName": call.account},
    }


@operation("CreateBucket")
def create_bucket(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make a bucket of the caller's; making one's own again changes nothing."""
    name = request["Bucket"]
    known = call.read(owner_of, name)
    if known is not None and known.account != call.account:
        raise AwsError(
            "The requested bucket name is not available. The bucket namespace is shared by all users of the "
            "system. Please select a different name and try again.",
            code="BucketAlreadyExists",
            status=409,
        )
    if known is not None:
        if call.region == "us-east-1":  # as S3: a second Create of one's own is an error everywhere else
            return {"Location": f"/{name}"}
        raise AwsError(
            "Your previous request to create the named bucket succeeded and you already own it.",
            code="BucketAlreadyOwnedByYou",
            status=409,
        )
    _objects(call).make_bucket(name)
    record = Record(
        account=OWNERS,
        region=REGION,
        noun=NOUN,
        key=name,
        arn=f"arn:aws:s3:::{name}",
        status="",
        created=call.now,
        modified=call.now,
        document={"Name": name, "Account": call.account, "Region": call.region},
        private={},
        version=1,
    )
    try:
        call.write(records.insert, record)
    except Duplicate:
        return {"Location": f"/{name}"}
    call.world.publish("bucket", name, {"account": call.account})
    return {"Location": f"/{name}"}


@operation("DeleteBucket")
def delete_bucket(call: Call, request: Mapping[str, Any]) -> None:
    """Remove an empty bucket of the caller's."""
    name = request["Bucket"]
    known = call.read(owner_of, name)
    if known is None:
        raise AwsError("The specified bucket does not exist", code="NoSuchBucket", status=404)
    if known.account != call.account:
        raise AwsError("Access Denied", code="AccessDenied", status=403)
    try:
        _objects(call).remove_bucket(name)
    except NotEmptyError:
        text = "The bucket you tried to delete is not empty"
        raise AwsError(text, code="BucketNotEmpty", status=409) from None
    call.write(records.delete, OWNERS, REGION, NOUN, name)
    call.world.publish("bucket", name, None)
