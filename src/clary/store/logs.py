"""Log lines: groups of streams of events, under CloudWatch Logs' names.

An event's id grows with every append and is never used again, so that a page goes on after an id even where
many events carry the same time.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from clary.store import dialect, terms
from clary.store.schema import log_event, log_group, log_stream

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class LogGroup:
    """A group of streams."""

    name: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class LogStream:
    """A stream of a group; times are 0 while it is empty."""

    name: str
    created_ms: int
    first_ms: int
    last_ms: int
    ingested_ms: int


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One line."""

    id: int
    stream: str
    ms: int
    message: str
    ingested_ms: int


def create_group(conn: sa.Connection, account: str, region: str, group: str, created_ms: int) -> bool:
    """Create an empty group; False when it exists."""
    row = {"account": account, "region": region, "name": group, "created_ms": created_ms}
    return dialect.insert_new(conn, log_group, row)


def create_stream(
    conn: sa.Connection, account: str, region: str, group: str, stream: str, created_ms: int
) -> bool:
    """Create an empty stream, and its group where that is missing; False when the stream exists."""
    create_group(conn, account, region, group, created_ms)
    group_id = _group_id(conn, account, region, group)
    row = {"name": stream, "created_ms": created_ms, "first_ms": 0, "last_ms": 0, "ingested_ms": 0}
    return dialect.insert_new(conn, log_stream, {"group_id": group_id, **row})


def has_group(conn: sa.Connection, account: str, region: str, group: str) -> bool:
    """Say whether a group exists."""
    return _group_id(conn, account, region, group) is not None


def has_stream(conn: sa.Connection, account: str, region: str, group: str, stream: str) -> bool:
    """Say whether a stream exists."""
    return _stream_ids(conn, account, region, group, stream) is not None


def append(
    conn: sa.Connection,
    account: str,
    region: str,
    group: str,
    stream: str,
    events: Sequence[tuple[int, str]],
    ingested_ms: int,
) -> int | None:
    """Append lines, as (milliseconds, text), in their order; return the last one's id, None without lines.

    Group and stream are created with the first line. What no database holds (NUL, half a surrogate pair)
    becomes U+FFFD.
    """
    if not events:
        return None
    ids = _stream_ids(conn, account, region, group, stream)
    if ids is None:
        create_stream(conn, account, region, group, stream, ingested_ms)
        ids = _stream_ids(conn, account, region, group, stream)
    assert ids is not None  # just created in this transaction
    group_id, stream_id = ids
    if not dialect.is_sqlite(conn):
        # Ids of one group must become visible in their order: a reader goes on after the last id it saw.
        conn.execute(sa.select(sa.func.pg_advisory_xact_lock(group_id)))
    rows = [
        {
            "group_id": group_id,
            "stream_id": stream_id,
            "ms": ms,
            "ingested_ms": ingested_ms,
            "text": _UNSTORABLE.sub("\ufffd", text),
        }
        for ms, text in events
    ]
    conn.execute(_APPEND, rows)
    earliest, latest = min(ms for ms, _text in events), max(ms for ms, _text in events)
    conn.execute(_TOUCH, {"of": stream_id, "earliest": earliest, "latest": latest, "now_ms": ingested_ms})
    return int(conn.execute(_LAST_ID, {"of": stream_id}).scalar_one())


def events(
    conn: sa.Connection,
    account: str,
    region: str,
    group: str,
    stream: str,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
    after: int | None = None,
    limit: int = 10_000,
    forward: bool = True,
) -> list[LogEvent]:
    """Return lines of one stream in the order of their ids, oldest first.

    Parameters
    ----------
    start_ms, end_ms : int or None
        First millisecond wanted, and first no longer wanted.
    after : int or None
        Id to go on from: later ones when `forward`, earlier ones otherwise. None begins at the
        first line when `forward`, and ends at the last one otherwise.
    """
    ids = _stream_ids(conn, account, region, group, stream)
    if ids is None:
        return []
    table = log_event
    query = (
        sa.select(table.c.id, table.c.ms, table.c.text, table.c.ingested_ms)
        .where(table.c.stream_id == ids[1])
        .limit(limit)
    )
    if start_ms is not None:
        query = query.where(table.c.ms >= start_ms)
    if end_ms is not None:
        query = query.where(table.c.ms < end_ms)
    if forward:
        query = query.order_by(table.c.id)
        query = query if after is None else query.where(table.c.id > after)
    else:
        query = query.order_by(table.c.id.desc())
        query = query if after is None else query.where(table.c.id < after)
    found = [LogEvent(row.id, stream, row.ms, row.text, row.ingested_ms) for row in conn.execute(query)]
    return found if forward else found[::-1]


def filter_events(
    conn: sa.Connection,
    account: str,
    region: str,
    group: str,
    *,
    streams: Iterable[str] | None = None,
    prefix: str = "",
    start_ms: int | None = None,
    end_ms: int | None = None,
    pattern: str = "",
    after: int | None = None,
    limit: int = 10_000,
) -> list[LogEvent]:
    """Return lines of a group's streams that fit a pattern, in the order of their ids.

    Parameters
    ----------
    streams : names or None
        Only these; None means all that begin with `prefix`.
    start_ms, end_ms : int or None
        First and last millisecond wanted.
    pattern : str
        CloudWatch's terms: see `clary.store.terms`.

    Raises
    ------
    ValidationException
        `pattern` is not one of terms.
    """
    wanted = terms.parse(pattern)
    group_id = _group_id(conn, account, region, group)
    if group_id is None:
        return []
    table = log_event
    query = (
        sa.select(table.c.id, log_stream.c.name, table.c.ms, table.c.text, table.c.ingested_ms)
        .join(log_stream, log_stream.c.id == table.c.stream_id)
        .where(table.c.group_id == group_id, *(_holds(conn, term) for term in wanted.required))
        .where(*(sa.not_(_holds(conn, term)) for term in wanted.excluded))
        .order_by(table.c.id)
        .limit(limit)
    )
    if wanted.optional and not wanted.required:
        query = query.where(sa.or_(*(_holds(conn, term) for term in wanted.optional)))
    names = None if streams is None else list(streams)
    if names is not None or prefix:
        chosen = sa.select(log_stream.c.id).where(log_stream.c.group_id == group_id)
        chosen = chosen.where(
            _begins(log_stream.c.name, prefix) if names is None else log_stream.c.name.in_(names)
        )
        query = query.where(table.c.stream_id.in_(chosen))
    if start_ms is not None:
        query = query.where(table.c.ms >= start_ms)
    if end_ms is not None:
        query = query.where(table.c.ms <= end_ms)
    if after is not None:
        query = query.where(table.c.id > after)
    return [LogEvent(*row) for row in conn.execute(query)]


def last_id(conn: sa.Connection, account: str, region: str, group: str) -> int:
    """Return the id of the group's newest line; 0 without lines."""
    of_group = log_event.c.group_id == _group_id(conn, account, region, group)
    return conn.execute(sa.select(sa.func.max(log_event.c.id)).where(of_group)).scalar() or 0


def groups(
    conn: sa.Connection,
    account: str,
    region: str,
    prefix: str = "",
    *,
    after: str | None = None,
    limit: int | None = None,
) -> list[LogGroup]:
    """Return groups by name, those that begin with `prefix` and follow the name `after`."""
    table = log_group
    query = (
        sa.select(table.c.name, table.c.created_ms)
        .where(table.c.account == account, table.c.region == region)
        .order_by(table.c.name)
        .limit(limit)
    )
    if prefix:
        query = query.where(_begins(table.c.name, prefix))
    if after is not None:
        query = query.where(table.c.name > after)
    return [LogGroup(*row) for row in conn.execute(query)]


def streams(
    conn: sa.Connection,
    account: str,
    region: str,
    group: str,
    prefix: str = "",
    *,
    order_by: Literal["name", "last"] = "name",
    descending: bool = False,
    after: str | Sequence[Any] | None = None,
    limit: int = 50,
) -> list[LogStream]:
    """Return a group's streams that begin with `prefix`.

    Parameters
    ----------
    order_by : "name" or "last"
        By name, or by the time of the last line, then name.
    after : str or (int, str) or None
        Where to go on: the last stream's name, or its (last_ms, name) when ordered by time.
    """
    table = log_stream
    group_id = _group_id(conn, account, region, group)
    query = sa.select(
        table.c.name, table.c.created_ms, table.c.first_ms, table.c.last_ms, table.c.ingested_ms
    ).where(table.c.group_id == group_id)
    order = [table.c.last_ms, table.c.name] if order_by == "last" else [table.c.name]
    if prefix:
        query = query.where(_begins(table.c.name, prefix))
    if after is not None:
        values = [after] if isinstance(after, str) else list(after)
        if len(values) != len(order):
            raise ValueError(f"after={after!r} does not fit order_by={order_by!r}")
        mark = sa.tuple_(*(sa.literal(value) for value in values))
        here: sa.Tuple = sa.tuple_(*order)
        query = query.where(here < mark if descending else here > mark)
    query = query.order_by(*(column.desc() if descending else column for column in order)).limit(limit)
    return [LogStream(*row) for row in conn.execute(query)]


def delete_stream(conn: sa.Connection, account: str, region: str, group: str, stream: str) -> bool:
    """Delete a stream with its lines; False when there is none."""
    ids = _stream_ids(conn, account, region, group, stream)
    if ids is None:
        return False
    conn.execute(sa.delete(log_event).where(log_event.c.stream_id == ids[1]))
    conn.execute(sa.delete(log_stream).where(log_stream.c.id == ids[1]))
    return True


def delete_group(conn: sa.Connection, account: str, region: str, group: str) -> bool:
    """Delete a group with its streams and lines; False when there is none."""
    group_id = _group_id(conn, account, region, group)
    if group_id is None:
        return False
    conn.execute(sa.delete(log_event).where(log_event.c.group_id == group_id))
    conn.execute(sa.delete(log_stream).where(log_stream.c.group_id == group_id))
    conn.execute(sa.delete(log_group).where(log_group.c.id == group_id))
    return True


_GROUP = sa.and_(
    log_group.c.account == sa.bindparam("a"),
    log_group.c.region == sa.bindparam("r"),
    log_group.c.name == sa.bindparam("g"),
)
_GROUP_ID = sa.select(log_group.c.id).where(_GROUP)
_STREAM_IDS = (
    sa.select(log_group.c.id, log_stream.c.id)
    .join(log_stream, log_stream.c.group_id == log_group.c.id)
    .where(_GROUP, log_stream.c.name == sa.bindparam("s"))
)
_APPEND = sa.insert(log_event)
_LAST_ID = sa.select(sa.func.max(log_event.c.id)).where(log_event.c.stream_id == sa.bindparam("of"))
_EARLIEST = sa.bindparam("earliest", type_=sa.BigInteger)
_LATEST = sa.bindparam("latest", type_=sa.BigInteger)
_TOUCH = (
    sa.update(log_stream)
    .where(log_stream.c.id == sa.bindparam("of"))
    .values(
        first_ms=sa.case(
            (sa.or_(log_stream.c.first_ms == 0, log_stream.c.first_ms > _EARLIEST), _EARLIEST),
            else_=log_stream.c.first_ms,
        ),
        last_ms=sa.case((log_stream.c.last_ms < _LATEST, _LATEST), else_=log_stream.c.last_ms),
        ingested_ms=sa.bindparam("now_ms"),
    )
)


def _group_id(conn: sa.Connection, account: str, region: str, group: str) -> int | None:
    return conn.execute(_GROUP_ID, {"a": account, "r": region, "g": group}).scalar()


def _stream_ids(
    conn: sa.Connection, account: str, region: str, group: str, stream: str
) -> tuple[int, int] | None:
    row = conn.execute(_STREAM_IDS, {"a": account, "r": region, "g": group, "s": stream}).first()
    return (row[0], row[1]) if row else None


def _holds(conn: sa.Connection, term: str) -> sa.ColumnElement[bool]:
    finder = sa.func.instr if dialect.is_sqlite(conn) else sa.func.strpos
    return finder(log_event.c.text, term) > 0


def _begins(column: sa.ColumnElement[str], prefix: str) -> sa.ColumnElement[bool]:
    # Not LIKE, which ignores the case on SQLite; the first half lets an index find the place.
    return sa.and_(column >= prefix, sa.func.substr(column, 1, len(prefix)) == prefix)
