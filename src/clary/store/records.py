"""Records: one stored resource each, a wire document with the columns that lists sort and filter by."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from clary.store import dialect, facets
from clary.store.base import Duplicate, Stale, one_statement
from clary.store.schema import record as table
from clary.store.schema import scope_of
from clary.store.times import from_micros, to_micros

COLUMNS = (
    table.c.account,
    table.c.region,
    table.c.noun,
    table.c.key,
    table.c.arn,
    table.c.status,
    table.c.created,
    table.c.modified,
    table.c.document,
    table.c.private,
    table.c.version,
)
"""What `from_row` reads, in order."""


@dataclass(frozen=True, slots=True)
class Record:
    """One resource of one account and region."""

    account: str
    region: str
    noun: str
    key: str
    """Unique among the records of its account, region and noun."""
    arn: str
    """Unique in the store; empty for nouns that have none."""
    status: str
    created: datetime
    modified: datetime
    document: Mapping[str, Any]
    """Members under their wire names; may hold aware datetimes at any depth."""
    private: Mapping[str, Any] = field(default_factory=dict)
    """What no client sees."""
    version: int = 1
    """Grows with every update; 1 when inserted."""


@one_statement
def find(conn: sa.Connection, account: str, region: str, noun: str, key: str) -> Record | None:
    """Return the record, or None."""
    row = conn.execute(_FIND, {"of": scope_of(account, region, noun), "named": key}).first()
    return from_row(row) if row else None


def hold(
    conn: sa.Connection, account: str, region: str, noun: str, key: str, *, is_shared: bool = False
) -> Record | None:
    """Return the record, held as it is until the transaction ends, or None.

    Parameters
    ----------
    is_shared : bool
        Only keep it from being deleted: others may hold it so, too, and may change it.

    Notes
    -----
    Who deletes a record while others may begin to name it holds it before looking for them; who names it
    holds it shared. SQLite has one writer and needs neither.
    """
    statement = _KEEP if is_shared else _HOLD
    row = conn.execute(statement, {"of": scope_of(account, region, noun), "named": key}).first()
    return from_row(row) if row else None


@one_statement
def find_by_arn(conn: sa.Connection, arn: str) -> Record | None:
    """Return the record with this ARN, or None."""
    row = conn.execute(_FIND_BY_ARN, {"of": arn}).first()
    return from_row(row) if row else None


def find_by_arns(conn: sa.Connection, arns: Collection[str]) -> dict[str, Record]:
    """Return the records with these ARNs, by ARN; those that are not there are left out."""
    found = conn.execute(sa.select(*COLUMNS).where(table.c.arn.in_(list(arns)), table.c.arn != ""))
    records = [from_row(row) for row in found]
    return {record.arn: record for record in records}


def insert(conn: sa.Connection, record: Record) -> Record:
    """Insert a new record; return it at version 1.

    Raises
    ------
    Duplicate
        The key is taken in this account, region and noun, or the ARN is taken anywhere.
    """
    row = _columns_of(record) | {
        "scope": scope_of(record.account, record.region, record.noun),
        "account": record.account,
        "region": record.region,
        "noun": record.noun,
        "key": record.key,
        "version": 1,
    }
    if not dialect.insert_new(conn, table, row):
        raise Duplicate(f"{record.noun} {record.key!r} exists already in {record.account}/{record.region}")
    facets.add(conn, row["scope"], record.noun, record.key, record.document)
    return replace(record, version=1)


def update(conn: sa.Connection, record: Record, expected_version: int | None = None) -> Record:
    """Overwrite a record; return it with its new version.

    Parameters
    ----------
    expected_version : int or None
        Version that the stored record must still have; None overwrites whatever is there.

    Raises
    ------
    Stale
        There is no such record any more, or it has another version.
    """
    statement = _UPDATE if expected_version is None else _UPDATE_EXPECTED
    scope = scope_of(record.account, record.region, record.noun)
    parameters = {
        "of": scope,
        "named": record.key,
        "expected": expected_version,
        **{f"new_{name}": value for name, value in _columns_of(record).items()},
    }
    if expected_version is None:
        del parameters["expected"]
    version = conn.execute(statement, parameters).scalar()
    if version is None:
        wanted = "" if expected_version is None else f" at version {expected_version}"
        raise Stale(f"{record.noun} {record.key!r}{wanted} is not there any more")
    facets.renew(conn, scope, record.noun, record.key, record.document)
    return replace(record, version=version)


def delete(conn: sa.Connection, account: str, region: str, noun: str, key: str) -> bool:
    """Delete a record; say whether there was one. Its tags are `tags.drop`'s."""
    scope = scope_of(account, region, noun)
    facets.drop(conn, scope, noun, key)
    return conn.execute(_DELETE, {"of": scope, "named": key}).rowcount == 1


def from_row(row: Any) -> Record:
    """Return the record of a row of `COLUMNS`."""
    account, region, noun, key, arn, status, created, modified, document, private, version = row
    return Record(
        account,
        region,
        noun,
        key,
        arn,
        status,
        from_micros(created),
        from_micros(modified),
        document,
        private,
        version,
    )


def _columns_of(record: Record) -> dict[str, Any]:
    return {
        "arn": record.arn,
        "status": record.status,
        "created": to_micros(record.created),
        "modified": to_micros(record.modified),
        "document": record.document,
        "private": record.private,
    }


_IDENTITY = sa.and_(table.c.scope == sa.bindparam("of"), table.c.key == sa.bindparam("named"))
_FIND = sa.select(*COLUMNS).where(_IDENTITY)
_HOLD = _FIND.with_for_update()
_KEEP = _FIND.with_for_update(read=True, key_share=True)
_FIND_BY_ARN = sa.select(*COLUMNS).where(
    table.c.arn == sa.bindparam("of"), table.c.arn != sa.literal_column("''")
)
_UPDATE = (
    sa.update(table)
    .where(_IDENTITY)
    .values(
        version=table.c.version + 1,
        **{
            name: sa.bindparam(f"new_{name}", type_=table.c[name].type)
            for name in ("arn", "status", "created", "modified", "document", "private")
        },
    )
    .returning(table.c.version)
)
_UPDATE_EXPECTED = _UPDATE.where(table.c.version == sa.bindparam("expected"))
_DELETE = sa.delete(table).where(_IDENTITY)
