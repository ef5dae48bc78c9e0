"""A store's rows, all of them, from one database into another: from the embedded one to PostgreSQL and back.

source ──one snapshot, a table at a time, rows in batches──▶ target, one transaction ──counted──▶ done
"""

from collections.abc import Callable

import sqlalchemy as sa

from clary.kernel.errors import SetupError
from clary.store.database import Store
from clary.store.schema import METADATA, account, record

BATCH_ROWS = 2_000
Told = Callable[[str, int], None]
"""Hears a table's name, and how many of its rows are over."""


def copy(source: Store, target: Store, told: Told = lambda _table, _rows: None) -> dict[str, int]:
    """Copy every row; return the number of rows by table.

    Parameters
    ----------
    source, target : Store
        At this release's version both; nobody may write to either meanwhile. Both must have been opened with
        the same key file: secrets travel as they are, encrypted.

    Raises
    ------
    SetupError
        The target holds accounts or resources already, or other rows arrived than were sent. Nothing is
        left in it then.
    """

    def all_tables(reading: sa.Connection) -> dict[str, int]:
        return target.write(_fill, reading, told)

    return source.read(all_tables)


def _fill(writing: sa.Connection, reading: sa.Connection, told: Told) -> dict[str, int]:
    for table in (account, record):
        if writing.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first():
            raise SetupError(f"the target has rows in its table {table.name} already: give an empty database")
    counts: dict[str, int] = {}
    for table in METADATA.sorted_tables:
        writing.execute(sa.delete(table))  # what opening it wrote: facts about the database itself
        counts[table.name] = 0
        rows = reading.execution_options(yield_per=BATCH_ROWS).execute(sa.select(table))
        for batch in rows.mappings().partitions():
            writing.execute(sa.insert(table), [dict(row) for row in batch])
            counts[table.name] += len(batch)
            told(table.name, counts[table.name])
        arrived = writing.execute(sa.select(sa.func.count()).select_from(table)).scalar()
        if arrived != counts[table.name]:
            raise SetupError(f"{counts[table.name]} rows of {table.name} were sent, {arrived} arrived")
        _count_on(writing, table)
    return counts


def _count_on(writing: sa.Connection, table: sa.Table) -> None:
    """Have PostgreSQL number the next row behind the last that was copied; SQLite does so by itself."""
    if writing.dialect.name != "postgresql" or "id" not in table.c:
        return
    newest = sa.select(sa.func.coalesce(sa.func.max(table.c.id), 0) + 1).scalar_subquery()
    sequence = sa.func.pg_get_serial_sequence(table.name, "id")
    writing.execute(sa.select(sa.func.setval(sequence, newest, False)))
