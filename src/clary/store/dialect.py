"""The few statements that SQLite and PostgreSQL spell apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler


class HintingCompiler(SQLiteCompiler):
    """SQLite's compiler, and `INDEXED BY` where a select has the hint."""

    def get_from_hint_text(self, table: Any, text: str | None) -> str | None:
        """Return what stands after the table's name."""
        return text


def is_sqlite(conn: sa.Connection) -> bool:
    """Say whether `conn` speaks to SQLite."""
    return conn.dialect.name == "sqlite"


@contextmanager
def in_order(conn: sa.Connection) -> Iterator[None]:
    """Have PostgreSQL answer from an index that has the order asked for, rather than sort."""
    conn.execute(_SORTS, {"how": "off"})
    yield
    conn.execute(_SORTS, {"how": "on"})  # a fault ends the transaction, and this with it


_SORTS = sa.select(sa.func.set_config("enable_sort", sa.bindparam("how"), sa.true()))


def insert_new(conn: sa.Connection, table: sa.Table, row: dict[str, Any]) -> bool:
    """Insert `row` unless a unique index forbids it; say whether it went in.

    A refused row leaves the transaction whole on both databases, which an exception would not.
    """
    statement = _insert_new(table, is_sqlite(conn))
    return conn.execute(statement, row, execution_options=_COUNTED).rowcount == 1


def upsert(
    conn: sa.Connection, table: sa.Table, rows: list[dict[str, Any]], *, keys: list[str], newer: str = ""
) -> int:
    """Insert `rows`; where one exists by `keys`, overwrite its other columns. Return the rows written.

    Parameters
    ----------
    newer : str
        Column that must have grown for a row to be overwritten; empty overwrites always.
    """
    if not rows:
        return 0
    others = tuple(name for name in rows[0] if name not in keys)
    statement = _upsert(table, is_sqlite(conn), tuple(keys), others, newer)
    done = conn.execute(statement, rows, execution_options=_COUNTED)
    return int(done.rowcount)


_COUNTED: Any = {"preserve_rowcount": True}


# Built once: SQLAlchemy spends more on a new statement than SQLite on the row.
@cache
def _upsert(
    table: sa.Table, is_sqlite: bool, keys: tuple[str, ...], others: tuple[str, ...], newer: str
) -> sa.Insert:
    mine: Any = (sqlite.insert if is_sqlite else postgresql.insert)(table)
    guard = table.c[newer] < mine.excluded[newer] if newer else None
    changes = {name: mine.excluded[name] for name in others}
    statement: sa.Insert = mine.on_conflict_do_update(index_elements=keys, set_=changes, where=guard)
    return statement


@cache
def _insert_new(table: sa.Table, is_sqlite: bool) -> sa.Insert:
    make = sqlite.insert if is_sqlite else postgresql.insert
    return make(table).on_conflict_do_nothing().inline()
