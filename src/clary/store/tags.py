"""Tags of anything that has an ARN."""

from collections.abc import Iterable, Mapping

import sqlalchemy as sa

from clary.store import dialect
from clary.store.schema import tag as table


def put(conn: sa.Connection, arn: str, given: Mapping[str, str]) -> None:
    """Set tags; a key that exists gets the new value."""
    rows = [{"arn": arn, "key": key, "value": value} for key, value in given.items()]
    dialect.upsert(conn, table, rows, keys=["arn", "key"])


def remove(conn: sa.Connection, arn: str, keys: Iterable[str]) -> None:
    """Remove tags by key; unknown keys change nothing."""
    conn.execute(sa.delete(table).where(table.c.arn == arn, table.c.key.in_(list(keys))))


def of(conn: sa.Connection, arn: str) -> dict[str, str]:
    """Return the tags of `arn`, sorted by key."""
    return of_many(conn, [arn])[arn]


def of_many(conn: sa.Connection, arns: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the tags of several ARNs; one without tags has an empty mapping."""
    found: dict[str, dict[str, str]] = {arn: {} for arn in arns}
    rows = conn.execute(
        sa.select(table.c.arn, table.c.key, table.c.value)
        .where(table.c.arn.in_(list(found)))
        .order_by(table.c.arn, table.c.key)
    )
    for arn, key, value in rows:
        found[arn][key] = value
    return found


def drop(conn: sa.Connection, arn: str) -> None:
    """Remove every tag of `arn`."""
    conn.execute(sa.delete(table).where(table.c.arn == arn))
