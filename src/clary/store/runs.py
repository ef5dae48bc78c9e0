"""Runs: executions that are open, and the last that each of their hosts reported."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from clary.store import dialect
from clary.store.base import Duplicate, one_statement
from clary.store.schema import run as table
from clary.store.schema import run_host


@dataclass(frozen=True, slots=True)
class Run:
    """One open run."""

    run_id: str
    arn: str
    token_digest: str
    credentials_digest: str
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HostRow:
    """Where a host stands."""

    host: str
    seq: int
    """Number of the last report that counted."""
    phase: str | None
    address: str | None
    result: Mapping[str, Any] | None
    """How it ended; None while it runs."""


def open_run(
    conn: sa.Connection,
    run_id: str,
    arn: str,
    token_digest: str,
    credentials_digest: str,
    document: Mapping[str, Any],
) -> None:
    """Store a new run; storing the same again changes nothing.

    Raises
    ------
    Duplicate
        The id is open with other digests or for another ARN.
    """
    row = {
        "run_id": run_id,
        "arn": arn,
        "token_digest": token_digest,
        "credentials_digest": credentials_digest,
        "document": document,
    }
    if dialect.insert_new(conn, table, row):
        return
    known = find_run(conn, run_id)
    if known is None or (known.arn, known.token_digest, known.credentials_digest) != (
        arn,
        token_digest,
        credentials_digest,
    ):
        raise Duplicate(f"run {run_id!r} is open already, with other secrets or for another resource")


@one_statement
def find_run(conn: sa.Connection, run_id: str) -> Run | None:
    """Return an open run, or None."""
    row = conn.execute(_FIND, {"of": run_id}).first()
    return Run(*row) if row else None


def of_arn(conn: sa.Connection, arn: str) -> list[Run]:
    """Return the open runs of a resource."""
    rows = conn.execute(sa.select(*_COLUMNS).where(table.c.arn == arn).order_by(table.c.run_id))
    return [Run(*row) for row in rows]


def open_runs(conn: sa.Connection) -> list[tuple[str, str]]:
    """Return every open run as (run id, ARN)."""
    rows = conn.execute(sa.select(table.c.run_id, table.c.arn).order_by(table.c.run_id))
    return [(row.run_id, row.arn) for row in rows]


def report(
    conn: sa.Connection,
    run: Run,
    host: str,
    seq: int,
    phase: str | None,
    address: str | None,
    result: Mapping[str, Any] | None,
) -> bool:
    """Store a host's report of a run found in the same transaction; False when its number was seen before.

    What a report leaves out (None) stays as it was.
    """
    given = {"phase": phase, "address": address, "result": result}
    news = {name: value for name, value in given.items() if value is not None}
    row = {"run_id": run.run_id, "host": host, "seq": seq, **news}
    return dialect.upsert(conn, run_host, [row], keys=["run_id", "host"], newer="seq") == 1


@one_statement
def hosts(conn: sa.Connection, run_id: str) -> dict[str, HostRow]:
    """Return the hosts that reported, by name."""
    rows = conn.execute(_HOSTS, {"of": run_id})
    return {row.host: HostRow(*row) for row in rows}


def close_run(conn: sa.Connection, run_id: str) -> bool:
    """Forget a run and its hosts; False when it is not open."""
    conn.execute(sa.delete(run_host).where(run_host.c.run_id == run_id))
    return conn.execute(sa.delete(table).where(table.c.run_id == run_id)).rowcount == 1


_COLUMNS = (table.c.run_id, table.c.arn, table.c.token_digest, table.c.credentials_digest, table.c.document)
_FIND = sa.select(*_COLUMNS).where(table.c.run_id == sa.bindparam("of"))
_HOSTS = (
    sa.select(run_host.c.host, run_host.c.seq, run_host.c.phase, run_host.c.address, run_host.c.result)
    .where(run_host.c.run_id == sa.bindparam("of"))
    .order_by(run_host.c.host)
)
