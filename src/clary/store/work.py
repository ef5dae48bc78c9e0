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
    until = now + timedelta(seconds=lease_s)
    claimed = []
    for row in conn.execute(_READY, {"now": to_micros(now), "most": limit}).all():
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
    held = {"of": arn, "held": lease_token, "new_until": to_micros(until)}
    return conn.execute(_RENEW, held).rowcount == 1


def advance(
    conn: sa.Connection,
    arn: str,
    lease_token: str | None,
    state: str,
    due: datetime,
    memory: Mapping[str, Any],
) -> datetime | None:
    """Move a machine and give the lease back; return when it is due, None when it is not ours any more.

    A wake that came during the lease makes the row due at the time of that wake.
    """
    values = {"new_state": state, "new_due": to_micros(due), "new_memory": memory}
    moment = conn.execute(_ADVANCE, {"of": arn, "held": lease_token, **values}).scalar()
    return None if moment is None else from_micros(moment)


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
    values = {"new_state": state, "new_until": to_micros(until), "new_memory": memory}
    return conn.execute(_KEEP, {"of": arn, "held": lease_token, **values}).rowcount == 1


def finish(conn: sa.Connection, arn: str, lease_token: str | None) -> bool:
    """Forget a machine that ended; False when the lease is not ours any more."""
    return conn.execute(_FINISH, {"of": arn, "held": lease_token}).rowcount == 1


def wake(conn: sa.Connection, arn: str, now: datetime) -> bool:
    """Make a machine due now, or at once after the lease that runs; False when there is none."""
    return conn.execute(_WAKE, {"of": arn, "now": to_micros(now)}).rowcount == 1


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
    moment = conn.execute(_NEXT).scalar()
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
# All built once: SQLAlchemy spends more on a new statement than SQLite on the row.
_NEXT = sa.select(sa.func.min(table.c.ready))
_READY = (
    sa.select(*_COLUMNS)
    .where(table.c.ready <= sa.bindparam("now"))
    .order_by(table.c.ready, table.c.arn)
    .limit(sa.bindparam("most"))
    .with_for_update(skip_locked=True)  # SQLite has one writer and ignores it
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


# No token holds nothing: in SQL nothing equals NULL.
_HELD = sa.and_(table.c.arn == sa.bindparam("of"), table.c.lease_token == sa.bindparam("held"))
_RENEW = (
    sa.update(table)
    .where(_HELD)
    .values(lease_until=sa.bindparam("new_until"), ready=sa.bindparam("new_until"))
)
_KEEP = _RENEW.values(
    state=sa.bindparam("new_state"),
    memory=sa.bindparam("new_memory", type_=table.c.memory.type),
    version=table.c.version + 1,
)
_NEW_DUE: sa.BindParameter[int] = sa.bindparam("new_due", type_=sa.BigInteger)
_SOONEST = sa.case((table.c.woken < _NEW_DUE, table.c.woken), else_=_NEW_DUE)
_ADVANCE = (
    sa.update(table)
    .where(_HELD)
    .values(
        state=sa.bindparam("new_state"),
        due=_SOONEST,
        ready=_SOONEST,
        woken=None,
        lease_token=None,
        lease_owner=None,
        lease_until=None,
        memory=sa.bindparam("new_memory", type_=table.c.memory.type),
        version=table.c.version + 1,
    )
    .returning(table.c.ready)
)
_FINISH = sa.delete(table).where(_HELD)
_NOW: sa.BindParameter[int] = sa.bindparam("now", type_=sa.BigInteger)
_IS_LEASED = table.c.lease_token.is_not(None)
_WAKE = (
    sa.update(table)
    .where(table.c.arn == sa.bindparam("of"))
    .values(
        woken=sa.case((_IS_LEASED, _NOW), else_=None),
        due=sa.case((_IS_LEASED, table.c.due), (table.c.due < _NOW, table.c.due), else_=_NOW),
        ready=sa.case((_IS_LEASED, table.c.ready), (table.c.ready < _NOW, table.c.ready), else_=_NOW),
    )
)


def _from_row(row: Any) -> Work:
    arn, noun, state, due, lease_token, lease_until, memory, version = row
    until = None if lease_until is None else from_micros(lease_until)
    return Work(arn, noun, state, from_micros(due), lease_token, until, memory, version)
