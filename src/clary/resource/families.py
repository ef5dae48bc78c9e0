"""The verbs of a declared noun: Create, Describe, List, Delete, as the model shapes them.

A handler answers with the whole wire document; `wire` keeps what the output shape knows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection

from clary.engine import notes
from clary.engine.notes import Note
from clary.kernel.errors import AwsError, ResourceInUse, ValidationException
from clary.resource.call import Call, Handler, from_tags
from clary.resource.declare import Resource
from clary.resource.listing import Listing, plain
from clary.store import records, tags, work
from clary.store.base import Duplicate
from clary.store.records import Record
from clary.store.work import Work
from clary.wire.service import Service


def handlers_of(resource: Resource, model: Service) -> dict[str, Handler]:
    """Return the handlers of every verb that the model has for the noun."""
    plural = f"List{plural_of(resource.noun)}"
    verbs: dict[str, Handler] = {
        f"Create{resource.noun}": partial(create, resource),
        f"Describe{resource.noun}": partial(describe, resource),
        f"Delete{resource.noun}": partial(delete, resource),
    }
    if plural in model.operations:
        verbs[plural] = Listing(resource, model.operations[plural])
    return {name: handler for name, handler in verbs.items() if name in model.operations}


def plural_of(noun: str) -> str:
    """Return the plural as the service model spells it."""
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def create(resource: Resource, call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Admit, store, tag and start one; it can be described when this returns."""
    key = request[resource.name_member]
    arn = call.arn(resource, key)
    if call.seek(resource.noun, key) is not None:
        raise taken(resource, key, arn)
    made = prepared(resource, call, request)
    try:
        call.write(insert, made)
    except Duplicate:
        raise taken(resource, key, arn) from None
    if resource.machine is not None:
        call.world.nudge(arn)
    return {resource.arn_member: arn}


@dataclass(frozen=True)
class Prepared:
    """One that was admitted and is not stored yet."""

    record: Record
    tags: Mapping[str, str]
    work: Work | None
    """Row of its machine."""
    note: Note | None = None


def prepared(resource: Resource, call: Call, request: Mapping[str, Any]) -> Prepared:
    """Admit a Create request; return what `insert` stores."""
    key = request[resource.name_member]
    arn = call.arn(resource, key)
    given = from_tags(request.get("Tags"))
    extra = resource.admit(call, request)
    private = dict(extra.get("__private__", {}))
    document = {name: value for name, value in request.items() if name != "Tags"}
    document |= {name: value for name, value in extra.items() if name != "__private__"}
    document[resource.arn_member] = arn
    machine = resource.machine
    status = str(document.get(resource.status, ""))
    if machine is not None:
        status = machine.status(machine.start)
        document |= machine.enter(document, machine.start, now=call.now)
    record = Record(
        account=call.account,
        region=call.region,
        noun=resource.noun,
        key=key,
        arn=arn,
        status=status,
        created=call.now,
        modified=call.now,
        document=document,
        private=private,
        version=1,
    )
    row = None if machine is None else Work(arn=arn, noun=resource.noun, state=machine.start, due=call.now)
    return Prepared(record, given, row, resource.note)


def insert(conn: Connection, made: Prepared) -> None:
    """Store, tag and start one.

    Raises
    ------
    Duplicate
        The name is taken.
    """
    records.insert(conn, made.record)
    tags.put(conn, made.record.arn, made.tags)
    if made.work is not None:
        work.arm(conn, made.work)
    notes.write(conn, made.note, None, made.record)


def taken(resource: Resource, key: str, arn: str) -> AwsError:
    """Return the error of a name that is in use."""
    text = resource.taken_text.format(noun=resource.noun, title=resource.title, key=key, arn=arn)
    return ValidationException(text) if resource.taken == "ValidationException" else ResourceInUse(text)


def describe(resource: Resource, call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return everything that is known of one."""
    return document_of(resource, call, call.find(resource.noun, request[resource.name_member]))


def document_of(resource: Resource, call: Call, record: Record) -> dict[str, Any]:
    """Return the record as Describe shows it."""
    shown = plain(resource, record)
    for member, view in resource.view.items():
        shown[member] = view(call, record)
    return shown


def delete(resource: Resource, call: Call, request: Mapping[str, Any]) -> None:
    """Delete one; refuse while its state forbids it."""
    key = call.find(resource.noun, request[resource.name_member]).key

    def unit(conn: Connection) -> None:
        record = records.find(conn, call.account, call.region, resource.noun, key)
        if record is None:
            raise call.missing(resource, key)
        if resource.deletable and record.status not in resource.deletable:
            raise ValidationException(
                f"The {resource.title} {key} is in status {record.status} and can only be deleted in: "
                f"{', '.join(sorted(resource.deletable))}."
            )
        records.delete(conn, record.account, record.region, record.noun, record.key)
        tags.drop(conn, record.arn)

    call.write(unit)
