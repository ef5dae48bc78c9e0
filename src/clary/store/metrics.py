"""Metric points: series named as CloudWatch names them, values by time."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from clary.store import dialect
from clary.store.schema import metric_point, metric_series

Point = tuple[str, str, str, str, Mapping[str, str], int, float, str]
"""(account, region, namespace, name, dimensions, milliseconds, value, unit)"""
Sample = tuple[int, float, str, float]
"""(milliseconds, value, unit, how many samples of this value)"""


@dataclass(frozen=True, slots=True)
class Series:
    """What a metric is told apart by."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]


def append(conn: sa.Connection, points: Iterable[Point]) -> int:
    """Append points; return how many. Values that are not finite are left out, as CloudWatch refuses them."""
    return append_counted(conn, ((point, 1.0) for point in points))


def append_counted(conn: sa.Connection, points: Iterable[tuple[Point, float]]) -> int:
    """Append points that each stand for a number of samples of their value; return how many points."""
    known: dict[tuple[str, ...], int] = {}
    rows = []
    for (account, region, namespace, name, dimensions, ms, value, unit), n in points:
        if not math.isfinite(value):
            continue
        identity = (account, region, namespace, name, _canonical(dimensions))
        if identity not in known:
            known[identity] = _open_series(conn, identity)
        rows.append({"series_id": known[identity], "ms": ms, "value": value, "unit": unit, "n": n})
    if rows:
        conn.execute(sa.insert(metric_point), rows)
    return len(rows)


def points(
    conn: sa.Connection,
    account: str,
    region: str,
    namespace: str,
    name: str,
    dimensions: Mapping[str, str],
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> list[tuple[int, float, str]]:
    """Return (milliseconds, value, unit) of one series, oldest first, before `end_ms`."""
    found = samples(conn, account, region, namespace, name, dimensions, start_ms, end_ms)
    return [sample[:3] for sample in found]


def samples(
    conn: sa.Connection,
    account: str,
    region: str,
    namespace: str,
    name: str,
    dimensions: Mapping[str, str],
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> list[Sample]:
    """Return the points of one series and how many samples each is, oldest first, before `end_ms`."""
    series_id = _series_id(conn, (account, region, namespace, name, _canonical(dimensions)))
    if series_id is None:
        return []
    table = metric_point
    query = (
        sa.select(table.c.ms, table.c.value, table.c.unit, table.c.n)
        .where(table.c.series_id == series_id)
        .order_by(table.c.ms, table.c.id)
    )
    if start_ms is not None:
        query = query.where(table.c.ms >= start_ms)
    if end_ms is not None:
        query = query.where(table.c.ms < end_ms)
    return [(row.ms, row.value, row.unit, row.n) for row in conn.execute(query)]


def series(
    conn: sa.Connection,
    account: str,
    region: str,
    namespace: str | None = None,
    dimensions: Mapping[str, str] | None = None,
    *,
    name: str | None = None,
    after: Series | None = None,
    limit: int | None = None,
) -> list[Series]:
    """Return series by namespace, name and dimensions.

    Parameters
    ----------
    namespace, name : str or None
        Only of these; None means any.
    dimensions : mapping or None
        Only with exactly these; None means any.
    after : Series or None
        Go on after this one.
    """
    table = metric_series
    order = (table.c.namespace, table.c.name, table.c.dimensions)
    query = sa.select(*order).where(table.c.account == account, table.c.region == region)
    if namespace is not None:
        query = query.where(table.c.namespace == namespace)
    if name is not None:
        query = query.where(table.c.name == name)
    if dimensions is not None:
        query = query.where(table.c.dimensions == _canonical(dimensions))
    if after is not None:
        mark = (after.namespace, after.name, _canonical(after.dimensions))
        query = query.where(sa.tuple_(*order) > sa.tuple_(*(sa.literal(value) for value in mark)))
    rows = conn.execute(query.order_by(*order).limit(limit))
    return [Series(row.namespace, row.name, json.loads(row.dimensions)) for row in rows]


def drop(conn: sa.Connection, account: str, region: str, dimensions: Mapping[str, str]) -> int:
    """Delete every series with exactly these dimensions, and its points; return how many series."""
    table = metric_series
    chosen = (
        table.c.account == account,
        table.c.region == region,
        table.c.dimensions == _canonical(dimensions),
    )
    conn.execute(
        sa.delete(metric_point).where(metric_point.c.series_id.in_(sa.select(table.c.id).where(*chosen)))
    )
    return conn.execute(sa.delete(table).where(*chosen)).rowcount


def _canonical(dimensions: Mapping[str, str]) -> str:
    return json.dumps(dict(dimensions), sort_keys=True, separators=(",", ":"))


def _series_id(conn: sa.Connection, identity: tuple[str, ...]) -> int | None:
    names = ("account", "region", "namespace", "name", "dimensions")
    return conn.execute(_SERIES_ID, dict(zip(names, identity, strict=True))).scalar()


def _open_series(conn: sa.Connection, identity: tuple[str, ...]) -> int:
    found = _series_id(conn, identity)
    if found is None:
        names = ("account", "region", "namespace", "name", "dimensions")
        dialect.insert_new(conn, metric_series, dict(zip(names, identity, strict=True)))
        found = _series_id(conn, identity)
    assert found is not None  # just inserted in this transaction
    return found


_SERIES_ID = sa.select(metric_series.c.id).where(
    *(
        metric_series.c[name] == sa.bindparam(name)
        for name in ("account", "region", "namespace", "name", "dimensions")
    )
)
