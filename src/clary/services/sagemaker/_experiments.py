"""What experiments, trials and their components share: who made them, how one is changed or removed."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from clary.kernel.errors import ValidationException
from clary.resource.call import Call
from clary.resource.declare import Resource
from clary.store import listing, records, tags
from clary.store.conditions import Condition
from clary.store.listing import Query
from clary.store.records import Record

MISSING = "{noun} '{key}' does not exist."
TAKEN = "{noun} names must be unique within an AWS account and region. {noun} '{key}' already exists ({arn})."
CREATED: Mapping[str, str] = {"CreatedAfter": "created gt", "CreatedBefore": "created lt"}
"""Time filters of the lists of experiments and of lineage."""


def signed_by(principal: str) -> dict[str, Any]:
    """Return a `UserContext`: who did it."""
    return {"IamIdentity": {"Arn": principal, "PrincipalId": principal.rpartition("/")[2]}}


def made_by(call: Call, request: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what every one of them has from the start; it shows its name where it is given no other."""
    return {
        "DisplayName": request.get("DisplayName", name),
        "CreatedBy": signed_by(call.principal),
        "LastModifiedBy": signed_by(call.principal),
    }


def change(
    call: Call, resource: Resource, key: str, edit: Callable[[dict[str, Any]], Mapping[str, Any]]
) -> Record:
    """Write what `edit` makes of the document of one; return the record."""
    record = call.find(resource.noun, key)

    def changed(record: Record) -> Record:
        document = dict(edit(dict(record.document)))
        document["LastModifiedBy"] = signed_by(call.principal)
        return replace(record, document=document, modified=call.now)

    return call.amend(record, changed)


def remove(
    call: Call,
    resource: Resource,
    key: str,
    check: Callable[[Connection, Record], None],
    *,
    also: Callable[[Connection, Record], None] = lambda _conn, _record: None,
) -> str:
    """Delete one with its tags unless `check` raises; return its ARN.

    Raises
    ------
    ResourceNotFound
        There is none.
    """
    key = call.find(resource.noun, key).key

    def unit(conn: Connection) -> str:
        record = held(conn, call, resource, key)
        check(conn, record)
        records.delete(conn, record.account, record.region, record.noun, record.key)
        tags.drop(conn, record.arn)
        also(conn, record)
        return record.arn

    arn: str = call.write(unit)
    return arn


def held(conn: Connection, call: Call, resource: Resource, key: str, *, is_shared: bool = False) -> Record:
    """Return one inside a transaction, kept from changes, or with `is_shared` only from being deleted.

    Raises
    ------
    ResourceNotFound
        There is none.
    """
    record = records.hold(conn, call.account, call.region, resource.noun, key, is_shared=is_shared)
    if record is None:
        raise call.missing(resource, key)
    return record


def refuse_while_any(conn: Connection, record: Record, noun: str, path: str, why: str) -> None:
    """Refuse to delete a record while records of `noun` name it at `path`.

    Raises
    ------
    ValidationException
        The text names one of them.
    """
    query = Query(record.account, record.region, noun, (Condition(path, "eq", record.key),), limit=1)
    found = listing.page(conn, query).records
    if found:
        raise ValidationException(f"{why} (one is '{found[0].key}').")
