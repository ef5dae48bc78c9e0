"""Which index leads a list on SQLite; PostgreSQL chooses by its own statistics.

Two ways lead to a page:

- **walk** the index of the sort order, dropping what does not fit, until the page is full: where much fits;
- **gather** everything that one selective condition leaves, by its own index, and sort it: where little fits.

A probe that stops at `GATHER` rows says whether a condition leaves little. SQLite's own planner has no
statistics of a full-text index, and would walk a million rows for a name that nobody bears.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from clary.store import dialect, times
from clary.store.conditions import TEXT_COLUMNS, TIME_COLUMNS, Clause, Condition, as_time
from clary.store.schema import record

GATHER = 2_000
"""Rows that are gathered rather than walked to; the two cost the same near here, at a million rows."""
TRIGRAM = 3
"""Characters under which the index of names says nothing."""

_WALKS = {"key": "record_by_key", "created": "record_by_created", "modified": "record_by_modified"}
_name_index = sa.table("record_name", sa.column("rowid"), sa.column("record_name"))


@dataclass(frozen=True, slots=True)
class Plan:
    """How to find a page."""

    hint: str = ""
    """SQLite's `INDEXED BY …` or `NOT INDEXED`."""
    ids: str | None = None
    """The only rows that can be in the answer, as a JSON list."""


def choose(conn: sa.Connection, scope: int, top: Sequence[Condition], sort: str, descending: bool) -> Plan:
    """Choose how to find a page.

    Parameters
    ----------
    top : sequence of Condition
        Conditions that every row of the answer satisfies.
    """
    del descending  # every index is walked either way
    if not dialect.is_sqlite(conn):
        return Plan()
    for probe in _probes(scope, top, sort):
        found = probe.limit(GATHER + 1).subquery()
        listed = sa.select(sa.func.count(), sa.func.json_group_array(found.c[0])).select_from(found)
        n_found, ids = conn.execute(listed).one()
        if n_found <= GATHER:
            return Plan("NOT INDEXED", ids)
    if sort in {"created", "status"} and any(each.field == "status" and each.op == "eq" for each in top):
        return Plan("INDEXED BY record_by_status")
    if sort == "status":
        return Plan("INDEXED BY record_by_status")
    return Plan(f"INDEXED BY {_WALKS[sort]}") if sort in _WALKS else Plan()


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


def is_bound_by_position(clause: Clause, sort: str, descending: bool) -> bool:
    """Say whether a position bounds the sort column on the same side as this clause does."""
    if not isinstance(clause, Condition) or clause.field != sort:
        return False
    if sort not in TEXT_COLUMNS and sort not in TIME_COLUMNS:
        return False
    return clause.op in ({"lt", "le"} if descending else {"gt", "ge"})


def _probes(scope: int, top: Sequence[Condition], sort: str) -> Iterator[sa.Select[Any]]:
    """Yield the rows that single conditions leave, each by an index that knows them, cheapest test first."""
    base = sa.select(record.c.id).where(record.c.scope == scope)
    for each in top:
        if each.op == "eq" and each.field in {"key", "arn"}:
            column = TEXT_COLUMNS[each.field]
            yield base.where(column == bound_of(each), column != "")
    for each in top:
        if each.field == "key" and each.op == "contains" and len(str(each.value)) >= TRIGRAM:
            yield _named(scope, str(bound_of(each)))
    for each in top:
        if each.field == "status" and each.op == "eq" and sort not in {"created", "status"}:
            hinted = base.with_hint(record, "INDEXED BY record_by_status", "sqlite")
            yield hinted.where(record.c.status == bound_of(each))
        if each.field == "key" and each.op == "prefix" and sort != "key":
            start = str(bound_of(each))
            walk = base.with_hint(record, "INDEXED BY record_by_key", "sqlite")
            yield walk.where(record.c.key >= start, *_before_end(start))
    for field, column in TIME_COLUMNS.items():
        bounds = [each for each in top if each.field == field and each.op in {"gt", "ge", "lt", "le", "eq"}]
        if bounds and sort != field:
            walk = base.with_hint(record, f"INDEXED BY {_WALKS[field]}", "sqlite")
            for each in bounds:
                walk = walk.where(_compared(column, each.op, bound_of(each)))
            yield walk


def _named(scope: int, part: str) -> sa.Select[Any]:
    """Return the rows whose key holds `part`, by the trigram index.

    Of other scopes a few may come along (their codes collide); the list's own conditions drop them.
    """
    quoted = part.replace('"', '""')
    wanted = f'{{key}} : "{quoted}" AND {{code}} : "{scope & 0xFFF:03x}"'
    return sa.select(_name_index.c.rowid).where(_name_index.c.record_name.op("MATCH")(wanted))


def _compared(column: sa.ColumnElement[Any], op: str, value: int | str) -> sa.ColumnElement[bool]:
    return {
        "gt": column > value,
        "ge": column >= value,
        "lt": column < value,
        "le": column <= value,
        "eq": column == value,
    }[op]


def _before_end(prefix: str) -> list[sa.ColumnElement[bool]]:
    """Return the test that a key comes before all those that no longer begin with `prefix`."""
    for i in range(len(prefix) - 1, -1, -1):
        following = ord(prefix[i]) + 1
        if 0xD800 <= following <= 0xDFFF:
            following = 0xE000  # no text holds half a surrogate pair
        if following <= 0x10FFFF:
            return [record.c.key < prefix[:i] + chr(following)]
    return []
