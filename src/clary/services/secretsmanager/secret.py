"""Secret: a text or bytes under a name, encrypted at rest; the last version and the one before it."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from clary.kernel import ids
from clary.kernel.arns import Arn
from clary.kernel.errors import AwsError
from clary.resource import tokens
from clary.resource.call import Call, from_tags
from clary.resource.operation import operation
from clary.store import identities, listing, records, tags
from clary.store.base import Duplicate
from clary.store.listing import Query
from clary.store.records import Record

NOUN = "Secret"
CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"
RECOVERY_DAYS = 30
"""Source: API reference, DeleteSecret."""
LIMIT_BYTES = 65_536
PAGE = 100
_NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}$")


def _invalid(text: str) -> AwsError:
    return AwsError(text, code="InvalidParameterException")


def _refused(text: str) -> AwsError:
    return AwsError(text, code="InvalidRequestException")


def find(call: Call, secret_id: str, *, deleted: bool = False) -> Record:
    """Return the secret of a name or an ARN, whole or without its suffix.

    Raises
    ------
    AwsError
        `ResourceNotFoundException`; `InvalidRequestException` where it is marked for deletion.
    """
    name = secret_id
    if secret_id.startswith("arn:"):
        name = call.own(secret_id).resource.partition(":")[2]
    record: Record | None = None
    for each in (name, _SUFFIX.sub("", name)):
        record = record or call.read(records.find, call.account, call.region, NOUN, each)
    if record is None or (secret_id.startswith("arn:") and not record.arn.startswith(secret_id)):
        raise AwsError("Secrets Manager can't find the specified secret.", code="ResourceNotFoundException")
    if not deleted and "DeletedDate" in record.document:
        raise _refused("You can't perform this operation on the secret because it was marked for deletion.")
    return record


def _version(conn: Connection, request: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return the version that a request brings.

    Raises
    ------
    AwsError
        `InvalidParameterException`: it brings none, two, or one that is too long.
    """
    given = [member for member in ("SecretString", "SecretBinary") if request.get(member) is not None]
    if len(given) != 1:
        raise _invalid("You must provide either SecretString or SecretBinary, and only one of them.")
    value = request[given[0]]
    raw = value.encode() if isinstance(value, str) else bytes(value)
    if len(raw) > LIMIT_BYTES:
        raise _invalid(f"{given[0]} has {len(raw)} bytes; {LIMIT_BYTES} are allowed.")
    return {
        "id": request.get("ClientRequestToken") or ids.request_id(),
        "member": given[0],
        "sealed": identities.seal(conn, raw),
        "created": now.timestamp(),
    }


@operation("CreateSecret")
def create_secret(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Keep a secret under a new name."""
    name = request["Name"]
    if not _NAME.fullmatch(name):
        raise _invalid(f"Invalid name '{name}'. It must match {_NAME.pattern}.")
    given = from_tags(request.get("Tags"))
    arn = str(
        Arn(
            service="secretsmanager",
            region=call.region,
            account=call.account,
            resource=f"secret:{name}-{ids.short(6)}",
        )
    )
    document = {"Name": name, "ARN": arn, "Description": request.get("Description", "")}

    def unit(conn: Connection) -> str:
        has_value = request.get("SecretString") is not None or request.get("SecretBinary") is not None
        versions = [_version(conn, request, call.now)] if has_value else []
        private = {"versions": versions}
        records.insert(
            conn,
            Record(call.account, call.region, NOUN, name, arn, "", call.now, call.now, document, private),
        )
        tags.put(conn, arn, given)
        return str(versions[0]["id"]) if versions else ""

    try:
        version = call.write(unit)
    except Duplicate:
        raise AwsError(
            f"The operation failed because the secret {name} already exists.", code="ResourceExistsException"
        ) from None
    return {"ARN": arn, "Name": name} | ({"VersionId": version} if version else {})


@operation("GetSecretValue")
def get_secret_value(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a version of a secret: the current one, where the request names none."""
    record = find(call, request["SecretId"])
    wanted = request.get("VersionStage", CURRENT)
    for stage, version in zip((CURRENT, PREVIOUS), record.private["versions"], strict=False):
        if version["id"] == request.get("VersionId", version["id"]) and (
            stage == wanted or "VersionId" in request
        ):
            raw = call.read(identities.unseal, version["sealed"])
            return {
                "ARN": record.arn,
                "Name": record.key,
                "VersionId": version["id"],
                "VersionStages": [stage],
                "CreatedDate": datetime.fromtimestamp(version["created"], call.now.tzinfo),
                version["member"]: raw.decode() if version["member"] == "SecretString" else raw,
            }
    label = request.get("VersionId") or wanted
    raise AwsError(
        f"Secrets Manager can't find the specified secret value for staging label: {label}",
        code="ResourceNotFoundException",
    )


@operation("PutSecretValue")
def put_secret_value(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make a new value the current version; the one before stays as AWSPREVIOUS."""
    if request.get("VersionStages", [CURRENT]) != [CURRENT]:
        raise _invalid(f"VersionStages: staging labels of one's own are not served; give ['{CURRENT}'].")
    record = _changed(call, request, {})
    return {
        "ARN": record.arn,
        "Name": record.key,
        "VersionId": record.private["versions"][0]["id"],
        "VersionStages": [CURRENT],
    }


@operation("UpdateSecret")
def update_secret(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Change a secret's description, its value, or both."""
    kept = {"Description": request["Description"]} if "Description" in request else {}
    record = _changed(call, request, kept)
    answer = {"ARN": record.arn, "Name": record.key}
    return answer | ({"VersionId": record.private["versions"][0]["id"]} if record.private["versions"] else {})


def _changed(call: Call, request: Mapping[str, Any], members: Mapping[str, Any]) -> Record:
    record = find(call, request["SecretId"])

    def change(current: Record) -> Record:
        versions = list(current.private["versions"])
        if not members or "SecretString" in request or "SecretBinary" in request:
            version = call.read(_version, request, call.now)
            versions = [version, *(each for each in versions if each["id"] != version["id"])][:2]
        return replace(
            current,
            document={**current.document, **members},
            private={**current.private, "versions": versions},
            modified=call.now,
        )

    return call.amend(record, change)


@operation("DeleteSecret")
def delete_secret(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Delete a secret: at once where that is forced, else it can be restored for some days."""
    record = find(call, request["SecretId"], deleted=True)
    if request.get("ForceDeleteWithoutRecovery"):
        if "RecoveryWindowInDays" in request:
            raise _invalid("Give ForceDeleteWithoutRecovery or RecoveryWindowInDays, not both.")

        def unit(conn: Connection) -> None:
            records.delete(conn, record.account, record.region, NOUN, record.key)
            tags.drop(conn, record.arn)

        call.write(unit)
        return {"ARN": record.arn, "Name": record.key, "DeletionDate": call.now}
    days = request.get("RecoveryWindowInDays", RECOVERY_DAYS)
    if not 7 <= days <= 30:
        raise _invalid(f"RecoveryWindowInDays {days}: it must be between 7 and 30 days.")
    until = call.now + timedelta(days=days)

    def change(current: Record) -> Record:
        return replace(current, document={**current.document, "DeletedDate": until}, modified=call.now)

    call.amend(record, change)
    return {"ARN": record.arn, "Name": record.key, "DeletionDate": until}


@operation("RestoreSecret")
def restore_secret(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take a deletion back."""
    record = find(call, request["SecretId"], deleted=True)

    def change(current: Record) -> Record:
        kept = {name: value for name, value in current.document.items() if name != "DeletedDate"}
        return replace(current, document=kept, modified=call.now)

    call.amend(record, change)
    return {"ARN": record.arn, "Name": record.key}


@operation("DescribeSecret")
def describe_secret(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is known of a secret but its value."""
    record = find(call, request["SecretId"], deleted=True)
    stages = zip((CURRENT, PREVIOUS), record.private["versions"], strict=False)
    return _shown(call, record) | {"VersionIdsToStages": {each["id"]: [stage] for stage, each in stages}}


@operation("ListSecrets")
def list_secrets(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return one page of the secrets, by name; those to be deleted are left out."""
    if request.get("Filters"):
        raise _invalid("Filters are not served; leave them out, and choose from the whole list.")
    try:
        begin = tokens.decode(request["NextToken"], str) if request.get("NextToken") else ""
    except ValueError:
        raise AwsError("The next token is invalid.", code="InvalidNextTokenException") from None
    limit = request.get("MaxResults", PAGE)
    query = Query(call.account, call.region, NOUN, sort="key", descending=False, limit=10_000)
    found = [
        each
        for each in call.read(listing.page, query).records
        if each.key > begin and (request.get("IncludePlannedDeletion") or "DeletedDate" not in each.document)
    ]
    answer: dict[str, Any] = {"SecretList": [_shown(call, each) for each in found[:limit]]}
    return answer | ({"NextToken": tokens.encode(found[limit - 1].key)} if len(found) > limit else {})


def _shown(call: Call, record: Record) -> dict[str, Any]:
    return {
        **record.document,
        "CreatedDate": record.created,
        "LastChangedDate": record.modified,
        "Tags": call.tags_of(record.arn),
    }
