"""Access keys of users: made, put out of use and into it again, deleted.

What signs is the credential; a key that is inactive has none, and its record keeps the secret, encrypted.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from clary.engine.runs import entry_of
from clary.kernel import ids
from clary.kernel.errors import AwsError
from clary.resource.call import Call
from clary.resource.operation import operation
from clary.services.iam.role import GLOBAL
from clary.services.iam.user import KEY_NOUN, found_user, keys_of
from clary.store import identities, records
from clary.store.identities import Credential
from clary.store.records import Record

MOST_KEYS = 2
"""Source: user guide, "IAM and AWS STS quotas"."""


@operation("CreateAccessKey")
def create_access_key(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Create a key of a user; its secret is shown this once."""
    user = found_user(call, _named(call, request))
    if len(keys_of(call, user.key)) >= MOST_KEYS:
        raise AwsError(
            f"Cannot exceed quota for AccessKeysPerUser: {MOST_KEYS}", code="LimitExceeded", status=409
        )
    key = Credential(ids.access_key_id(), ids.secret_access_key(), call.account, user.arn)
    shown = {
        "UserName": user.key,
        "AccessKeyId": key.access_key_id,
        "Status": "Active",
        "CreateDate": call.now,
    }

    def unit(conn: Connection) -> None:
        private = {"sealed": identities.seal(conn, key.secret.encode()), "principal": user.arn}
        record = Record(
            call.account,
            GLOBAL,
            KEY_NOUN,
            key.access_key_id,
            "",
            "Active",
            call.now,
            call.now,
            shown,
            private,
        )
        records.insert(conn, record)
        identities.insert(conn, key)

    call.write(unit)
    return {"AccessKey": {**shown, "SecretAccessKey": key.secret}}


@operation("ListAccessKeys")
def list_access_keys(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the keys of a user, without their secrets."""
    user = found_user(call, _named(call, request))
    return {
        "AccessKeyMetadata": [dict(each.document) for each in keys_of(call, user.key)],
        "IsTruncated": False,
    }


@operation("UpdateAccessKey")
def update_access_key(call: Call, request: Mapping[str, Any]) -> None:
    """Put a key out of use, or into it again; the edges hear of it at once."""
    status = request["Status"]
    if status not in {"Active", "Inactive"}:
        raise AwsError(f"Status '{status}' must be 'Active' or 'Inactive'.", code="InvalidInput")
    key_id = _found(call, request).key

    def unit(conn: Connection) -> Credential | None:
        record = records.find(conn, call.account, GLOBAL, KEY_NOUN, key_id)
        if record is None or record.document["Status"] == status:
            return None
        document = {**record.document, "Status": status}
        records.update(
            conn, replace(record, document=document, status=status), expected_version=record.version
        )
        identities.delete(conn, key_id)
        secret = identities.unseal(conn, record.private["sealed"]).decode()
        key = Credential(key_id, secret, call.account, record.private["principal"])
        if status == "Active":
            identities.insert(conn, key)
        return key

    key = call.write(unit)
    if key is not None:
        call.world.publish("credential", key_id, entry_of(key) if status == "Active" else None)


@operation("DeleteAccessKey")
def delete_access_key(call: Call, request: Mapping[str, Any]) -> None:
    """Delete a key: it signs nothing more."""
    key_id = _found(call, request).key

    def unit(conn: Connection) -> None:
        records.delete(conn, call.account, GLOBAL, KEY_NOUN, key_id)
        identities.delete(conn, key_id)

    call.write(unit)
    call.world.publish("credential", key_id, None)


def _named(call: Call, request: Mapping[str, Any]) -> str:
    """Return the user that a request names; without a name, the caller."""
    name: str = request.get("UserName") or call.principal.rpartition("/")[2]
    return name


def _found(call: Call, request: Mapping[str, Any]) -> Record:
    key_id = request["AccessKeyId"]
    record: Record | None = call.read(records.find, call.account, GLOBAL, KEY_NOUN, key_id)
    if record is None or request.get("UserName", record.document["UserName"]) != record.document["UserName"]:
        raise AwsError(f"The Access Key with id {key_id} cannot be found.", code="NoSuchEntity", status=404)
    return record
