"""Notes: what follows from a record that is new or changed its status, written in the same transaction.

A noun declares one function; Create and the worker call it. So a job's trial component and lineage cost no
transaction of their own, and are there exactly when the change is.
"""

import logging
from collections.abc import Callable

from sqlalchemy import Connection

from clary.store.records import Record

log = logging.getLogger("clary.engine")

Note = Callable[[Connection, Record | None, Record], None]
"""Gets the record before, or nothing where it is new, and the record after."""


def write(conn: Connection, note: Note | None, before: Record | None, after: Record) -> None:
    """Write what follows; a fault in it is undone and logged, and never holds the record itself up."""
    if note is None:
        return
    try:
        with conn.begin_nested():
            note(conn, before, after)
    except Exception:
        log.exception("what follows from %s %s could not be written", after.noun, after.key)
