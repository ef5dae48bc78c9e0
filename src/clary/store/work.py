"""Work: the rows of machines, leased to one worker at a time.

    arm ──▶ due ──claim──▶ leased ──advance──▶ due again, later
             ▲               │  └──finish──▶ gone
             └──lease ran out┘

Promises
--------
- A row is leased to one claimant at a time; `advance`, `keep`, `renew` and `finish` need its token.
- A wake is never lost: one during a lease is remembered, and the row is due as soon as it is advanced.
- `disown` voids the leases of one owner: what a process held when it was killed need not wait for them.
- A lease that ran out makes the row claimable again, whatever became of its holder.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from clary.store import dialect
from clary.store.schema import work as table
from clary.store.times import from_micros, to_micros


@dataclass(frozen=True, slots=True)
class Work:
    """One machine's row."""

    arn: str
    noun: str
    state: str
    due: datetime
    lease_token: str | None = None
    lease_until: datetime | None = None
    memory: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1
    """Grows whenever the machine moves."""


def arm(conn: sa.Connection, work: Work) -> None:
    """Set a machine going, or set it anew: a lease that somebody holds on it is void."""
    row = {
        "arn": work.arn,
        "noun": work.noun,
        "state": work.state,
        "due": to_micros(work.due),
        "ready": to_micros(work.due),
        "woken": None,
        "lease_token": None,
        "lease_owner": None,
        "lease_until": None,
        "memory": work.memory,
        "version": work.version,
    }
    dialect.upsert(conn, table, [row], keys=["arn"])


def find(conn: sa.Connection, arn: str) -> Work | None:
    """Return the machine of `arn`, or None."""
    row = conn.execute(sa.select(*_COLUMNS).where(table.c.arn == arn)).first()
    return _from_row(row) if row else None


def claim(conn: sa.Connection, now: datetime, owner: str, limit: int, lease_s: float) -> list[Work]:
    """Lease up to `limit` rows that are due, the longest due first.

    Parameters
    ----------
    owner : str
        Who claims; for people to read.
    lease_s : float
        How long nobody else gets them.
    """
    ready = (
        sa.select(*_COLUMNS)
        .where(table.c.ready <= to_micros(now))
        .order_by(table.c.ready, table.c.arn)
        .limit(limit)
        .with_for_update(skip_locked=True)  # SQLite has one writer and ignores it
    )
    until = now + timedelta(seconds=lease_s)
    claimed = []
    for row in conn.execute(ready).all():
        token = secrets.token_hex(16)
        conn.execute(
            _CLAIM, {"of": row.arn, "new_token": token, "new_owner": owner, "new_until": to_micros(until)}
        )
        claimed.append(
            Work(row.arn, row.noun, row.state, from_micros(row.due), token, until, row.memory, row.version)
        )
    return claimed


def renew(conn: sa.Connection, arn: str, lease_token: str | None, until: datetime) -> bool:
    """Hold a lease for longer; False when it is not ours any more."""
    moment = to_micros(until)
    changes = {"lease_until": moment, "ready": moment}
    return conn.execute(sa.update(table).where(_held(arn, lease_token)).values(changes)).rowcount == 1


def advance(
    conn: sa.Connection,
    arn: str,
    lease_token: str | None,
    state: str,
    due: datetime,
    memory: Mapping[str, Any],
) -> bool:
    """Move a machine and give the lease back; False when it is not ours any more.

    A wake that came during the lease makes the row due at the time of that wake.
    """
    moment = to_micros(due)
    soonest = sa.case((table.c.woken < moment, table.c.woken), else_=moment)
    changes = {
        "state": state,
        "due": soonest,
        "ready": soonest,
        "woken": None,
        "lease_token": None,
        "lease_owner": None,
        "lease_until": None,
        "memory": memory,
        "version": table.c.version + 1,
    }
    return conn.execute(sa.update(table).where(_held(arn, lease_token)).values(changes)).rowcount == 1


def keep(
    conn: sa.Connection,
    arn: str,
    lease_token: str | None,
    state: str,
    memory: Mapping[str, Any],
    until: datetime,
) -> bool:
    """Move a machine and keep the lease until then; False when it is not ours any more.

    A wake that came before stays remembered: whoever keeps the lease need not have seen it.
    """
    moment = to_micros(until)
    changes = {
        "state": state,
        "memory": memory,
        "lease_until": moment,
        "ready": moment,
        "version": table.c.version + 1,
    }
    return conn.execute(sa.update(table).where(_held(arn, lease_token)).values(changes)).rowcount == 1


def finish(conn: sa.Connection, arn: str, lease_token: str | None) -> bool:
    """Forget a machine that ended; False when the lease is not ours any more."""
    return conn.execute(sa.delete(table).where(_held(arn, lease_token))).rowcount == 1


def wake(conn: sa.Connection, arn: str, now: datetime) -> bool:
    """Make a machine due now, or at once after the lease that runs; False when there is none."""
    moment = to_micros(now)
    is_leased = table.c.lease_token.is_not(None)
    changes = {
        "woken": sa.case((is_leased, moment), else_=None),
        "due": sa.case((is_leased, table.c.due), (table.c.due < moment, table.c.due), else_=moment),
        "ready": sa.case((is_leased, table.c.ready), (table.c.ready < moment, table.c.ready), else_=moment),
    }
    return conn.execute(sa.update(table).where(table.c.arn == arn).values(changes)).rowcount == 1


def disown(conn: sa.Connection, owner: str, now: datetime) -> int:
    """Make due what `owner` held in an earlier life, which has ended for certain; return how many rows."""
    moment = to_micros(now)
    changes = {
        "due": moment,
        "ready": moment,
        "woken": None,
        "lease_token": None,
        "lease_owner": None,
        "lease_until": None,
    }
    held = sa.and_(table.c.lease_owner == owner, table.c.lease_token.is_not(None))
    return conn.execute(sa.update(table).where(held).values(changes)).rowcount


def drop(conn: sa.Connection, arn: str) -> bool:
    """Forget a machine whoever holds it; False when there is none."""
    return conn.execute(sa.delete(table).where(table.c.arn == arn)).rowcount == 1


def next_due(conn: sa.Connection) -> datetime | None:
    """Return when the next row can be claimed (a leased one when its lease runs out), or None."""
    moment = conn.execute(sa.select(sa.func.min(table.c.ready))).scalar()
    return None if moment is None else from_micros(moment)


_COLUMNS = (
    table.c.arn,
    table.c.noun,
    table.c.state,
    table.c.due,
    table.c.lease_token,
    table.c.lease_until,
    table.c.memory,
    table.c.version,
)
# A claim also forgets an older wake: the step that follows sees all that happened before it.
_CLAIM = (
    sa.update(table)
    .where(table.c.arn == sa.bindparam("of"))
    .values(
        lease_token=sa.bindparam("new_token"),
        lease_owner=sa.bindparam("new_owner"),
        lease_until=sa.bindparam("new_until"),
        ready=sa.bindparam("new_until"),
        woken=None,
    )
)


def _held(arn: str, lease_token: str | None) -> sa.ColumnElement[bool]:
    # No token holds nothing; `= NULL` would say so too, but only by accident.
    return sa.and_(table.c.arn == arn, table.c.lease_token == lease_token) if lease_token else sa.false()


def _from_row(row: Any) -> Work:
    arn, noun, state, due, lease_token, lease_until, memory, version = row
    until = None if lease_until is None else from_micros(lease_until)
    return Work(arn, noun, state, from_micros(due), lease_token, until, memory, version)
