"""Lists: records of one noun, filtered, sorted and paged in SQL.

    Query ──▶ plan (which index leads) ──▶ identifiers of one page ──▶ records
                                                                  └──▶ Position of the next

A position is the last record's sort value and key, never an offset: records that come or go between two pages
neither repeat nor hide others.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from clary.store import dialect, facets, json_sql, plans
from clary.store.conditions import Clause, Condition, Filed, Group, Match, Within, names_of, path, to_sql
from clary.store.plans import Plan
from clary.store.records import COLUMNS, Record, from_row
from clary.store.schema import record, scope_of

__all__ = ["Condition", "Group", "Page", "Position", "Query", "Sort", "Within", "count", "page", "path"]

SORT_COLUMNS = {
    "key": record.c.key,
    "created": record.c.created,
    "modified": record.c.modified,
    "status": record.c.status,
    "arn": record.c.arn,
}


LEAST = -1.7976931348623157e308
"""Sorts before every number that JSON can say."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page ended."""

    values: tuple[int | float | str, ...]
    """What the last record sorts by; empty where that is the key itself."""
    key: str
    """Its key, which breaks ties."""

    def to_json(self) -> list[int | float | str]:
        """Return a plain JSON list."""
        return [*self.values, self.key]

    @classmethod
    def from_json(cls, parts: Sequence[Any]) -> "Position":
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            These are not the parts of a position.
        """
        if not parts or any(
            isinstance(part, bool) or not isinstance(part, int | float | str) for part in parts
        ):
            raise ValueError(f"{parts!r} is not a position")
        *values, key = parts
        if not isinstance(key, str):
            raise ValueError(f"{parts!r} is not a position")
        return cls(tuple(values), key)


@dataclass(frozen=True, slots=True)
class Sort:
    """What to sort by, where a path of the document does not say it."""

    field: str
    """A dotted path of the document; of the element, where `element` names one."""
    spelled: bool = False
    """Texts that spell numbers sort as numbers."""
    element: tuple[str, str, str] | None = None
    """Path of a list, a member of its structures, and the text that this has in the one that counts.

    What is sorted by must be a number there; those without one come first.
    """


@dataclass(frozen=True, slots=True)
class Query:
    """What to list."""

    account: str
    region: str
    noun: str
    where: tuple[Clause, ...] = ()
    match: Match = "all"
    """Whether all or any of `where` must hold; no clause at all holds."""
    sort: str | Sort = "created"
    """`key`, `created`, `modified`, `status`, `arn`, or a path of the document (missing values first)."""
    descending: bool = True
    limit: int = 100
    after: Position | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list."""

    records: tuple[Record, ...]
    next: Position | None
    """Where the next page begins; None on the last one."""


def page(conn: sa.Connection, query: Query) -> Page:
    """Return one page.

    Raises
    ------
    ValueError
        A condition that makes no sense, a limit under one, or a position of another sort order.
    """
    if query.limit < 1:
        raise ValueError(f"limit must be at least 1, not {query.limit}")
    scope = scope_of(query.account, query.region, query.noun)
    query = replace(query, where=facets.sharpen(scope, query.noun, query.where))
    order = _order(conn, query)
    sort = query.sort if isinstance(query.sort, str) else ""

    def start(steps: sa.Select[Any]) -> sa.Select[Any]:
        return _from_position(query, steps, order).order_by(*_directed(order, query.descending))

    plan = plans.choose(conn, scope, _top(query), sort, _codes(query), start=start)
    edge = _edge(conn, query, plan, order) if plan.doubtful_name else None
    rows = _rows(conn, query, plan, order, edge)
    if edge is not None and len(rows) <= query.limit:
        # The walk went far and found too little: the name is common, but not here.
        plan = plans.gather(conn, plan.doubtful_name, plans.LAST_GATHER, scope) or plan
        rows = _rows(conn, query, plan, order)
    shown = rows[: query.limit]
    records = tuple(from_row(row[: len(COLUMNS)]) for row in shown)
    if len(rows) <= query.limit:
        return Page(records, None)
    return Page(records, Position(_plain(shown[-1][len(COLUMNS) : -1]), records[-1].key))


def count(conn: sa.Connection, query: Query) -> int:
    """Return how many records a query has on all its pages; its `after` and `limit` do not matter."""
    scope = scope_of(query.account, query.region, query.noun)
    query = replace(query, after=None, where=facets.sharpen(scope, query.noun, query.where))
    plan = plans.choose(conn, scope, _top(query), "key", _codes(query))
    found = _filtered(conn, query, plan, sa.select(sa.func.count()))
    return int(conn.execute(found).scalar_one())


def _top(query: Query) -> list[Condition]:
    """Return the conditions that every record of the answer satisfies."""
    return [clause for clause in _all_of(query) if isinstance(clause, Condition)]


def _codes(query: Query) -> list[int]:
    """Return the facets that every record of the answer has."""
    return [clause.code for clause in _all_of(query) if isinstance(clause, Filed)]


def _all_of(query: Query) -> Iterator[Clause]:
    """Yield the clauses that all must hold, those inside groups of all, too."""
    if query.match == "any" and len(query.where) != 1:
        return
    rest = list(query.where)
    while rest:
        clause = rest.pop(0)
        if isinstance(clause, Group) and (clause.match == "all" or len(clause.conditions) == 1):
            rest = [*clause.conditions, *rest]
        else:
            yield clause


def _order(conn: sa.Connection, query: Query) -> list[sa.ColumnElement[Any]]:
    if isinstance(query.sort, Sort):
        return [*_sort_key(json_sql.of(conn), query.sort), record.c.key]
    if query.sort == "key":
        return [record.c.key]
    if query.sort in SORT_COLUMNS:
        return [SORT_COLUMNS[query.sort], record.c.key]
    if query.sort.startswith("tag:"):
        raise ValueError(f"sort {query.sort!r}: lists do not sort by tags")
    return [*json_sql.of(conn).sort_key(record.c.document, names_of(query.sort)), record.c.key]


def _sort_key(sql: json_sql.JsonSql, sort: Sort) -> list[sa.ColumnElement[Any]]:
    if sort.element is not None:
        field, member, value = sort.element
        # One expression, so that the document is read once a row: the least number stands for a missing one.
        return [
            sql.number_in_element(
                record.c.document, names_of(field), member, value, names_of(sort.field), missing=LEAST
            )
        ]
    return sql.sort_key(record.c.document, names_of(sort.field), spelled=sort.spelled)


def _rows(
    conn: sa.Connection,
    query: Query,
    plan: Plan,
    order: list[sa.ColumnElement[Any]],
    edge: Sequence[Any] | None = None,
) -> Sequence[Any]:
    """Return the records of a page and one more, each with what it sorts by; none beyond `edge`."""
    found = _from_position(query, _filtered(conn, query, plan, _sorted(query, order)), order)
    if edge is not None:
        last = sa.tuple_(*(sa.literal(value) for value in edge))
        here: sa.Tuple = sa.tuple_(*order)
        found = found.where(here >= last if query.descending else here <= last)
    # By what indexes of sort orders hold themselves: SQLite's have the row's number, PostgreSQL's its key.
    mark = record.c.id if dialect.is_sqlite(conn) else record.c.key
    picked = found.add_columns(mark.label("mark")).limit(query.limit + 1).subquery("picked")
    again = [picked.c[f"sort_{i}"] for i in range(len(order))]
    full = sa.select(*COLUMNS, *again).join_from(picked, record, mark == picked.c.mark)
    if not dialect.is_sqlite(conn):
        full = full.where(_in_scope(query))
    full = full.order_by(*_directed(again, query.descending))
    with dialect.in_order(conn) if plan.in_order else nullcontext():
        return conn.execute(full).all()


def _edge(
    conn: sa.Connection, query: Query, plan: Plan, order: list[sa.ColumnElement[Any]]
) -> Sequence[Any] | None:
    """Return where a walk has lasted long enough; None when the list ends before."""
    steps = _sorted(query, order).where(_in_scope(query))
    for each in _top(query):
        if each.field == "status" and each.op == "eq":
            steps = steps.where(record.c.status == each.value)
    steps = _from_position(query, steps, order).with_hint(record, plan.hint, "sqlite")
    return conn.execute(steps.offset(plans.PATIENCE).limit(1)).first()


def _sorted(query: Query, order: list[sa.ColumnElement[Any]]) -> sa.Select[Any]:
    # By their labels: SQLite would work out an expression with parameters once more for the order.
    labelled = [column.label(f"sort_{i}") for i, column in enumerate(order)]
    return sa.select(*labelled).select_from(record).order_by(*_directed(labelled, query.descending))


def _from_position(query: Query, found: sa.Select[Any], order: list[sa.ColumnElement[Any]]) -> sa.Select[Any]:
    if query.after is None:
        return found
    marks = (*query.after.values, query.after.key)
    if len(marks) != len(order):
        raise ValueError(f"position {query.after!r} does not belong to a list sorted by {query.sort!r}")
    here: sa.Tuple = sa.tuple_(*order)
    mark = sa.tuple_(*(sa.literal(value) for value in marks))
    return found.where(here < mark if query.descending else here > mark)


def _filtered(conn: sa.Connection, query: Query, plan: Plan, found: sa.Select[Any]) -> sa.Select[Any]:
    sql = json_sql.of(conn, walks=plan.walks)
    found = found.select_from(record).where(_in_scope(query))
    if query.where:
        together = query.where if query.match == "all" else (Group(query.match, query.where),)
        for clause in together:
            beside = None
            if query.after is not None and isinstance(clause, Condition) and clause.field == query.sort:
                beside = plans.beside_position(clause, query.descending)
            found = found.where(to_sql(clause, sql) if beside is None else beside)
    if plan.ids is not None:
        found = found.where(record.c.id.in_(plans.listed(plan.ids)))
    return found.with_hint(record, plan.hint, "sqlite") if plan.hint else found


def _in_scope(query: Query) -> sa.ColumnElement[bool]:
    return record.c.scope == scope_of(query.account, query.region, query.noun)


def _directed(columns: Sequence[sa.ColumnElement[Any]], descending: bool) -> list[sa.ColumnElement[Any]]:
    return [column.desc() for column in columns] if descending else list(columns)


def _plain(values: Sequence[Any]) -> tuple[int | float | str, ...]:
    """Return sort values as JSON has them; PostgreSQL's numbers come as decimals."""
    return tuple(
        value
        if isinstance(value, int | float | str)
        else int(value)
        if value == value.to_integral_value()
        else float(value)
        for value in values
    )
