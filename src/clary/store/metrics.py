"""Metric points: series named as CloudWatch names them, values by time."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

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
    named: dict[tuple[str, ...], dict[str, list[dict[str, Any]]]] = {}
    for (account, region, namespace, name, dimensions, ms, value, unit), n in points:
        if math.isfinite(value):
            family = named.setdefault((account, region, namespace, _canonical(dimensions)), {})
            family.setdefault(name, []).append({"ms": ms, "value": value, "unit": unit, "n": n})
    rows = [
        {"series_id": known[name], **point}
        for family, by_name in named.items()
        for known in (_open_series(conn, family, by_name),)
        for name, points_of in by_name.items()
        for point in points_of
    ]
    if rows:
        conn.execute(_APPEND, rows)
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


def recorded(
    conn: sa.Connection, account: str, region: str, namespace: str, dimensions: Mapping[str, str]
) -> dict[str, list[tuple[int, float]]]:
    """Return (milliseconds, value) of every series with exactly these dimensions, oldest first, by name."""
    given = {"account": account, "region": region, "namespace": namespace}
    found: dict[str, list[tuple[int, float]]] = {}
    for row in conn.execute(_RECORDED, {**given, "dimensions": _canonical(dimensions)}):
        found.setdefault(row.name, []).append((row.ms, row.value))
    return found


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


def _open_series(conn: sa.Connection, family: tuple[str, ...], names: Iterable[str]) -> dict[str, int]:
    """Return the ids of series of one family (account, region, namespace, dimensions), made where missing."""
    given = dict(zip(_FAMILY, family, strict=True))
    sought = {**given, "names": list(names)}
    known = {row.name: row.id for row in conn.execute(_SERIES_IDS, sought)}
    missing = [name for name in sought["names"] if name not in known]
    for name in missing:
        dialect.insert_new(conn, metric_series, {**given, "name": name})
    if missing:
        known = {row.name: row.id for row in conn.execute(_SERIES_IDS, sought)}
    return known


_FAMILY = ("account", "region", "namespace", "dimensions")
_APPEND = sa.insert(metric_point)
_SERIES_IDS = sa.select(metric_series.c.name, metric_series.c.id).where(
    *(metric_series.c[name] == sa.bindparam(name) for name in _FAMILY),
    metric_series.c.name.in_(sa.bindparam("names", expanding=True)),
)

_SERIES_ID = sa.select(metric_series.c.id).where(
    *(
        metric_series.c[name] == sa.bindparam(name)
        for name in ("account", "region", "namespace", "name", "dimensions")
    )
)
_RECORDED = (
    sa.select(metric_series.c.name, metric_point.c.ms, metric_point.c.value)
    .join(metric_point, metric_point.c.series_id == metric_series.c.id)
    .where(*(metric_series.c[name] == sa.bindparam(name) for name in _FAMILY))
    .order_by(metric_series.c.name, metric_point.c.ms, metric_point.c.id)
)
