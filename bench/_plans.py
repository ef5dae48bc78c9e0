"""What PostgreSQL does for a page of a list: its plans, run, and the rows that they touch."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from bench import store_million
from sqlalchemy import event

from clary.store import listing
from clary.store.database import Store
from clary.store.listing import Query
from clary.store.schema import scope_of

_COLUMNS = "scope, account, region, noun, key, arn, status, created, modified, version, document, private"


_PAGES = ("Shared Hit Blocks", "Shared Read Blocks")


@dataclass(frozen=True)
class Touched:
    """What one page cost."""

    n_rows: int
    """Rows that scans read, those that a filter then dropped included."""
    n_pages: int
    """Pages of 8 KiB, of indexes and of the table: what an index skips by itself counts here alone."""
    ms: float
    nodes: tuple[str, ...]
    """Kinds of scans with their indexes."""


def fill(store: Store, account: str, first: int, last: int) -> None:
    """Write the jobs of `store_million` from one number to another into `record`, and count anew."""
    scope = scope_of(account, store_million.REGION, store_million.NOUN)

    def unit(conn: sa.Connection) -> None:
        driver: Any = conn.connection.driver_connection
        with driver.cursor() as cursor, cursor.copy(f"COPY record ({_COLUMNS}) FROM STDIN") as copy:
            for number, row in enumerate(store_million.rows(last)):
                if number >= first:
                    arn = str(row[5]).replace(store_million.ACCOUNT, account)
                    copy.write_row((scope, account, *row[2:5], arn, *row[6:]))

    store.write(unit)


def settle(url: str) -> None:
    """Have PostgreSQL count, and mark pages as seen by all, as its autovacuum does in time."""
    engine = sa.create_engine(
        sa.make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as conn:
        conn.execute(sa.text("VACUUM ANALYZE record"))
    engine.dispose()


def explain(store: Store, query: Query) -> Touched:
    """Read a page, then run the plan of each of its statements."""

    def unit(conn: sa.Connection) -> Touched:
        asked: list[tuple[str, Any]] = []

        def note(_conn: Any, _cursor: Any, statement: str, given: Any, *_: Any) -> None:
            asked.append((statement, given))

        event.listen(conn, "before_cursor_execute", note)
        listing.page(conn, query)
        event.remove(conn, "before_cursor_execute", note)
        plans = [_plan(conn, *each) for each in asked]
        scans = [each for plan in plans for each in _scans(plan["Plan"])]
        return Touched(
            n_rows=sum(map(_touched, scans)),
            n_pages=sum(plan["Plan"][name] for plan in plans for name in _PAGES),
            ms=sum(plan["Planning Time"] + plan["Execution Time"] for plan in plans),
            nodes=tuple(dict.fromkeys(_named(each) for each in scans)),
        )

    return store.read(unit)


def _plan(conn: sa.Connection, statement: str, given: Any) -> Mapping[str, Any]:
    text = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
    found = conn.exec_driver_sql(text, given).scalar_one()
    plan: Mapping[str, Any] = (json.loads(found) if isinstance(found, str) else found)[0]
    return plan


def _scans(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "Scan" in node["Node Type"]:
        yield node
    for each in node.get("Plans", ()):
        yield from _scans(each)


def _touched(node: Mapping[str, Any]) -> int:
    dropped = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + dropped) * node["Actual Loops"])


def _named(node: Mapping[str, Any]) -> str:
    return f"{node['Node Type']} {node.get('Index Name', node.get('Relation Name', ''))}".strip()
