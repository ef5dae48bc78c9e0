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
- Where several nodes share a database, a row that belongs to one is claimed by that one alone.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from clary.store import dialect, nodes, notices
from clary.store.base import one_statement
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
    node: str = ""
    """Node that it belongs to; empty is anybody's, or the only one's."""


Place = Callable[[str], str]
"""Returns the node that a noun's new machine shall belong to; empty for nobody's."""


def arm(conn: sa.Connection, work: Work) -> None:
    """Set a machine going, or set it anew: a lease that somebody holds on it is void; its node stays."""
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


@one_statement
def find(conn: sa.Connection, arn: str) -> Work | None:
    """Return the machine of `arn`, or None."""
    row = conn.execute(sa.select(*_COLUMNS).where(table.c.arn == arn)).first()
    return _from_row(row) if row else None


def claim(
    conn: sa.Connection,
    now: datetime,
    owner: str,
    limit: int,
    lease_s: float,
    place: Place = lambda _noun: "",
) -> list[Work]:
    """Lease up to `limit` rows that are due, the longest due first.

    Parameters
    ----------
    owner : str
        Who claims; for people to read.
    lease_s : float
        How long nobody else gets them.
    place : callable, optional
        Where several nodes share the database: says whose a row shall be that is nobody's. One that shall be
        another's is left to that one, and it is told.
    """
    until = now + timedelta(seconds=lease_s)
    claimed = []
    for row in _ready(conn, now, limit):
        node = row.node or place(row.noun)
        if node != row.node:
            nodes.leave(conn, node, row.arn)
        if node and node != nodes.own(conn) and nodes.own(conn):
            notices.tell(conn, {"wake": node})
            continue
        token = secrets.token_hex(16)
        conn.execute(
            _CLAIM, {"of": row.arn, "new_token": token, "new_owner": owner, "new_until": to_micros(until)}
        )
        claimed.append(
            Work(
                row.arn,
                row.noun,
                row.state,
                from_micros(row.due),
                lease_token=token,
                lease_until=until,
                memory=row.memory,
                version=row.version,
                node=node,
            )
        )
    return claimed


def _ready(conn: sa.Connection, now: datetime, limit: int) -> list[Any]:
    """Return rows that are due; of several nodes' those of the own one first, then those of nobody."""
    asked = {"now": to_micros(now), "most": limit}
    if not nodes.own(conn):
        return list(conn.execute(_READY, asked).all())
    mine = conn.execute(_READY_OF, asked | {"whose": nodes.own(conn)}).all()
    return list(mine or conn.execute(_READY_OF, asked | {"whose": ""}).all())


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
    """Make a machine due now, or at once after the lease that runs; False when there is none.

    Another node's control plane is told when it is committed.
    """
    if not nodes.own(conn):
        return conn.execute(_WAKE, {"of": arn, "now": to_micros(now)}).rowcount == 1
    node = conn.execute(_WAKE_OF, {"of": arn, "now": to_micros(now)}).scalar()
    if node and node != nodes.own(conn):
        notices.tell(conn, {"wake": node})
    return node is not None


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
    own = nodes.own(conn)
    moments = conn.execute(_NEXT_OF, {"own": own}).one() if own else [conn.execute(_NEXT).scalar()]
    return min((from_micros(each) for each in moments if each is not None), default=None)


_COLUMNS = (
    table.c.arn,
    table.c.noun,
    table.c.state,
    table.c.due,
    table.c.lease_token,
    table.c.lease_until,
    table.c.memory,
    table.c.version,
    table.c.node,
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
_READY_OF = _READY.where(table.c.node == sa.bindparam("whose"))
# Two aggregates, each of one step down an index; over both nodes at once it would be a scan.
_NEXT_OF = sa.select(
    *(
        sa.select(sa.func.min(table.c.ready)).where(table.c.node == whose).scalar_subquery()
        for whose in (sa.bindparam("own"), sa.literal(""))
    )
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
_WAKE_OF = _WAKE.returning(table.c.node)


def _from_row(row: Any) -> Work:
    arn, noun, state, due, lease_token, lease_until, memory, version, node = row
    until = None if lease_until is None else from_micros(lease_until)
    return Work(arn, noun, state, from_micros(due), lease_token, until, memory, version, node)
