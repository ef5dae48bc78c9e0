"""Lists: records of one noun, filtered, sorted and paged in SQL.

    Query ──▶ plan (which index leads) ──▶ identifiers of one page ──▶ records
                                                                  └──▶ Position of the next

A position is the last record's sort value and key, never an offset: records that come or go between two pages
neither repeat nor hide others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from clary.store import dialect, json_sql, plans
from clary.store.conditions import Clause, Condition, Group, Match, Within, names_of, path, to_sql
from clary.store.plans import Plan
from clary.store.records import COLUMNS, Record, from_row
from clary.store.schema import record, scope_of

__all__ = ["Condition", "Group", "Page", "Position", "Query", "Within", "count", "page", "path"]

SORT_COLUMNS = {
    "key": record.c.key,
    "created": record.c.created,
    "modified": record.c.modified,
    "status": record.c.status,
    "arn": record.c.arn,
}


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
class Query:
    """What to list."""

    account: str
    region: str
    noun: str
    where: tuple[Clause, ...] = ()
    match: Match = "all"
    """Whether all or any of `where` must hold; no clause at all holds."""
    sort: str = "created"
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
    order = _order(conn, query)
    chosen = plans.choose(
        conn, scope_of(query.account, query.region, query.noun), _top(query), query.sort, query.descending
    )
    ids = (
        _select(conn, query, chosen, order)
        .order_by(*_directed(order, query.descending))
        .limit(query.limit + 1)
    )
    picked = ids.add_columns(record.c.id).subquery("picked")
    again = [picked.c[f"sort_{i}"] for i in range(len(order))]
    full = (
        sa.select(*COLUMNS, *again)
        .join_from(picked, record, record.c.id == picked.c.id)
        .order_by(*_directed(again, query.descending))
    )
    rows = conn.execute(full).all()
    shown = rows[: query.limit]
    records = tuple(from_row(row[: len(COLUMNS)]) for row in shown)
    if len(rows) <= query.limit:
        return Page(records, None)
    return Page(records, Position(_plain(shown[-1][len(COLUMNS) : -1]), records[-1].key))


def count(conn: sa.Connection, query: Query) -> int:
    """Return how many records a query has on all its pages; its `after` and `limit` do not matter."""
    plan = plans.choose(
        conn, scope_of(query.account, query.region, query.noun), _top(query), "key", descending=False
    )
    found = _filtered(conn, query, plan, sa.select(sa.func.count()))
    return int(conn.execute(found).scalar_one())


def _top(query: Query) -> list[Condition]:
    """Return the conditions that every record of the answer satisfies."""
    if query.match == "any" and len(query.where) != 1:
        return []
    return [clause for clause in query.where if isinstance(clause, Condition)]


def _order(conn: sa.Connection, query: Query) -> list[sa.ColumnElement[Any]]:
    if query.sort == "key":
        return [record.c.key]
    if query.sort in SORT_COLUMNS:
        return [SORT_COLUMNS[query.sort], record.c.key]
    if query.sort.startswith("tag:"):
        raise ValueError(f"sort {query.sort!r}: lists do not sort by tags")
    return [*json_sql.of(conn).sort_key(record.c.document, names_of(query.sort)), record.c.key]


def _select(
    conn: sa.Connection, query: Query, plan: Plan, order: list[sa.ColumnElement[Any]]
) -> sa.Select[Any]:
    labelled = [column.label(f"sort_{i}") for i, column in enumerate(order)]
    found = _filtered(conn, query, plan, sa.select(*labelled))
    if query.after is None:
        return found
    marks = (*query.after.values, query.after.key)
    if len(marks) != len(order):
        raise ValueError(f"position {query.after!r} does not belong to a list sorted by {query.sort!r}")
    here = sa.tuple_(*order)
    mark = sa.tuple_(*(sa.literal(value) for value in marks))
    return found.where(here < mark if query.descending else here > mark)


def _filtered(conn: sa.Connection, query: Query, plan: Plan, found: sa.Select[Any]) -> sa.Select[Any]:
    sql = json_sql.of(conn)
    found = found.select_from(record).where(
        record.c.scope == scope_of(query.account, query.region, query.noun)
    )
    if query.where:
        together = query.where if query.match == "all" else (Group(query.match, query.where),)
        has_position = query.after is not None
        for clause in together:
            is_loose = has_position and plans.is_bound_by_position(clause, query.sort, query.descending)
            found = found.where(_unindexed(clause) if is_loose else to_sql(clause, sql))
    if plan.ids is not None:
        found = found.where(record.c.id.in_(plans.listed(plan.ids)))
    if plan.hint and dialect.is_sqlite(conn):
        found = found.with_hint(record, plan.hint, "sqlite")
    return found


def _unindexed(clause: Clause) -> sa.ColumnElement[bool]:
    """Return a test on the sort column that no index will use.

    Beside a position it would make the database start at the wrong end of the list and skip forward.
    """
    assert isinstance(clause, Condition)
    moment = plans.bound_of(clause)
    column = SORT_COLUMNS[clause.field]
    loose = column + 0 if isinstance(moment, int) else column + ""
    return {"lt": loose < moment, "le": loose <= moment, "gt": loose > moment, "ge": loose >= moment}[
        clause.op
    ]


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
