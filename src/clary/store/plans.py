"""Which index leads a list on SQLite, and whether the one of names may on PostgreSQL.

Three ways lead to a page:

- **walk** the index of the sort order, dropping what does not fit, until the page is full: where much fits;
- **range**: read all that one condition leaves, from an index that begins with it, and sort that;
- **gather** the rows whose names the trigram index found, and sort them: where few names fit.

Probes that stop early say how much a condition leaves. SQLite's own planner has no statistics of a full-text
index, and would walk a million rows for a name that nobody bears. PostgreSQL's has some, and chooses well but
for a part of a name that many bear: it gathers all of them, more with every job, to join them with what
another condition leaves.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from clary.store import dialect, times
from clary.store.conditions import TEXT_COLUMNS, TIME_COLUMNS, Condition, as_time, key_range
from clary.store.schema import facet, record

GATHER = 2_000
"""Names that are gathered at once: each costs ten steps of a walk, as its row lies anywhere."""
RANGE = 10_000
"""Rows that are read and sorted rather than walked past: each costs two steps of a walk."""
PATIENCE = 12_000
"""Steps of a walk after which a name that should be common is looked for by the trigram index after all."""
LAST_GATHER = 20_000
"""Names that are gathered after a walk in vain, rather than walking all the way."""
SAMPLE, COMMON = 2_000, 10
"""Of so many first steps of a walk on PostgreSQL, so many that bear a name make it one to walk for."""
TRIGRAM = 3
"""Characters under which the index of names says nothing."""

_WALKS = {
    "key": "record_by_key",
    "created": "record_by_created",
    "modified": "record_by_modified",
    "status": "record_by_status_and_key",
}
_STATUS_WALKS = {
    "key": "record_by_status_and_key",
    "created": "record_by_status",
    "status": "record_by_status_and_key",
}
_HELD = {"key", "created", "modified", "status"}
"""What indexes of sort orders have of a row."""
_RANGES = {"gt", "ge", "lt", "le", "eq"}
_name_index = sa.table("record_name", sa.column("rowid"), sa.column("record_name"))


Start = Callable[[sa.Select[Any]], sa.Select[Any]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to find a page."""

    hint: str = ""
    """SQLite's `INDEXED BY …` or `NOT INDEXED`."""
    ids: str | None = None
    """The only rows that can be in the answer, as a JSON list."""
    doubtful_name: str = ""
    """Part of a name that many bear: a walk fills its page soon, unless all of them lie far away."""
    walks: bool = False
    """PostgreSQL shall not gather names."""
    in_order: bool = False
    """PostgreSQL shall go through the list in its order, not sort what a condition leaves."""


def choose(
    conn: sa.Connection,
    scope: int,
    top: Sequence[Condition],
    sort: str,
    codes: Sequence[int] = (),
    *,
    start: Start | None = None,
) -> Plan:
    """Choose how to find a page.

    Parameters
    ----------
    top : sequence of Condition
        Conditions that every row of the answer satisfies.
    codes : sequence of int
        Facets that every row of the answer has.
    start : function or None
        Makes a walk in the order of the list begin where the page does.
    """
    if any(each.op == "eq" and each.field in {"key", "arn"} for each in top):
        return Plan()  # a unique index leads; both databases see that by themselves
    if not dialect.is_sqlite(conn):
        return _without_names(conn, scope, top, sort, start) if start and not codes else Plan()
    for code in codes:
        plan = _gather_filed(conn, code)
        if plan is not None:
            return plan
    name = _longest_name_part(top)
    if name:
        plan = gather(conn, name, GATHER)
        if plan is not None:
            return plan
    smallest = (RANGE + 1, "")
    for index, rows in _ranges(scope, top, sort):
        found = rows.limit(smallest[0]).subquery()
        n_found = conn.execute(sa.select(sa.func.count()).select_from(found)).scalar_one()
        smallest = min(smallest, (n_found, index))
    if smallest[1]:
        return Plan(f"INDEXED BY {smallest[1]}")
    has_status = any(each.field == "status" and each.op == "eq" for each in top)
    walk = (_STATUS_WALKS if has_status else {}).get(sort) or _WALKS.get(sort)
    return Plan(f"INDEXED BY {walk}" if walk else "", doubtful_name=name if walk else "")


def _without_names(
    conn: sa.Connection, scope: int, top: Sequence[Condition], sort: str, start: Start
) -> Plan:
    """Keep PostgreSQL from gathering names that a walk, or what another condition leaves, soon has."""
    name = _longest_name_part(top)
    if not name or sort not in _WALKS:
        return Plan()
    walk = sa.select(record.c.key).where(record.c.scope == scope)
    for each in top:
        if each.field == "status" and each.op == "eq" and sort in _STATUS_WALKS:
            walk = walk.where(record.c.status == bound_of(each))
    ranges = [rows.with_only_columns(record.c.key) for _, rows in _ranges(scope, top, sort)]
    for steps in (start(walk), *ranges):
        first = steps.limit(SAMPLE).subquery()
        bears = sa.func.strpos(first.c.key, name) > 0
        counts = sa.select(sa.func.count(), sa.func.count().filter(bears)).select_from(first)
        n_steps, n_found = conn.execute(counts).one()
        if n_steps < SAMPLE or n_found >= COMMON:
            is_held = all(each.field in _HELD for each in top)
            return Plan(walks=True, in_order=is_held and not ranges)
    return Plan()


def gather(conn: sa.Connection, name: str, most: int, scope: int | None = None) -> Plan | None:
    """Return a plan for the rows whose key holds `name`, or None when there are more than `most`.

    Parameters
    ----------
    scope : int or None
        Count only rows of this scope (and of few others, whose codes collide): dearer, but then other
        accounts' many rows do not hide that this one has few.
    """
    quoted = name.replace('"', '""')
    wanted = f'{{key}} : "{quoted}"'
    if scope is not None:
        wanted += f' AND {{code}} : "{scope & 0xFFF:03x}"'
    matching = sa.select(_name_index.c.rowid).where(_name_index.c.record_name.op("MATCH")(wanted))
    found = matching.limit(most + 1).subquery()
    listing = sa.select(sa.func.count(), sa.func.json_group_array(found.c[0])).select_from(found)
    n_found, ids = conn.execute(listing).one()
    return Plan("NOT INDEXED", ids) if n_found <= most else None


def _gather_filed(conn: sa.Connection, code: int) -> Plan | None:
    """Return a plan for the rows that have a facet, or None when there are more than are gathered at once."""
    filed = (
        sa.select(record.c.id)
        .join_from(facet, record, sa.and_(record.c.scope == facet.c.scope, record.c.key == facet.c.key))
        .where(facet.c.code == code)
        .limit(GATHER + 1)
        .subquery()
    )
    n_found, ids = conn.execute(
        sa.select(sa.func.count(), sa.func.json_group_array(filed.c.id)).select_from(filed)
    ).one()
    return Plan("NOT INDEXED", ids) if n_found <= GATHER else None


def listed(ids: str) -> sa.Select[Any]:
    """Return identifiers as a subquery of one parameter, however many they are."""
    each = sa.func.json_each(ids).table_valued("value")
    return sa.select(each.c.value)


def bound_of(condition: Condition) -> int | str:
    """Return the value of a condition on a column, as the column has it."""
    if condition.field in TIME_COLUMNS:
        moment = as_time(condition.value)
        if moment is None:
            raise ValueError(f"{condition.field}: {condition.value!r} is not a time")
        return times.to_micros(moment)
    if not isinstance(condition.value, str):
        raise ValueError(f"{condition.field}: {condition.value!r} is not text")
    return condition.value


def beside_position(condition: Condition, descending: bool) -> sa.ColumnElement[bool] | None:
    """Return a test on the sort column that leaves the index to the position; None where none is needed.

    A position bounds the list on the side where it goes on from. A second bound on that side might be the
    one that SQLite seeks by: it would then start at the wrong end of the list and skip forward.
    """
    is_time = condition.field in TIME_COLUMNS
    if not is_time and condition.field not in TEXT_COLUMNS:
        return None
    column: sa.ColumnElement[Any] = (
        TIME_COLUMNS[condition.field] if is_time else TEXT_COLUMNS[condition.field]
    )
    loose = column + 0 if is_time else column.op("||")("")
    if condition.op == "prefix" and not is_time:
        prefix = str(bound_of(condition))
        lower, upper = key_range(column, prefix)
        begins = sa.func.substr(column, 1, len(prefix)) == prefix
        return sa.and_(begins, lower if descending else upper)
    if condition.op in ({"lt", "le"} if descending else {"gt", "ge"}):
        return _compared(loose, condition.op, bound_of(condition))
    return None


def _longest_name_part(top: Sequence[Condition]) -> str:
    parts = [str(bound_of(each)) for each in top if each.field == "key" and each.op == "contains"]
    longest = max(parts, key=len, default="")
    return longest if len(longest) >= TRIGRAM and "\0" not in longest else ""


def _ranges(scope: int, top: Sequence[Condition], sort: str) -> Iterator[tuple[str, sa.Select[Any]]]:
    """Yield indexes that begin with a condition's column, and the rows which that condition leaves."""

    def rows(index: str, *where: sa.ColumnElement[bool]) -> tuple[str, sa.Select[Any]]:
        found = sa.select(record.c.id).where(record.c.scope == scope, *where)
        return index, found.with_hint(record, f"INDEXED BY {index}", "sqlite")

    for each in top:
        if each.field == "status" and each.op == "eq" and sort not in _STATUS_WALKS:
            yield rows("record_by_status", record.c.status == bound_of(each))
        if each.field == "key" and each.op == "prefix" and sort != "key":
            yield rows("record_by_key", *key_range(record.c.key, str(bound_of(each))))
    for field, column in TIME_COLUMNS.items():
        bounds = [
            _compared(column, each.op, bound_of(each))
            for each in top
            if each.field == field and each.op in _RANGES
        ]
        if bounds and sort != field:
            yield rows(_WALKS[field], *bounds)


def _compared(column: sa.ColumnElement[Any], op: str, value: int | str) -> sa.ColumnElement[bool]:
    return {
        "gt": column > value,
        "ge": column >= value,
        "lt": column < value,
        "le": column <= value,
        "eq": column == value,
    }[op]
