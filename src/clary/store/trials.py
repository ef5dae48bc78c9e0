"""What runs log over time: series of (time, step, value) by the ARN of their trial component."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from clary.store import dialect
from clary.store.schema import trial_point, trial_series


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a metric."""

    name: str
    ms: int
    step: int | None
    value: float


def append(conn: sa.Connection, arn: str, points: Iterable[Point]) -> None:
    """Append points to the series of a component."""
    known: dict[str, int] = {}
    rows = []
    for point in points:
        if point.name not in known:
            known[point.name] = _open(conn, arn, point.name)
        value = None if math.isnan(point.value) else point.value  # SQLite has no NaN
        rows.append({"series_id": known[point.name], "ms": point.ms, "step": point.step, "value": value})
    if rows:
        conn.execute(sa.insert(trial_point), rows)


def points(
    conn: sa.Connection, arn: str, name: str, *, after: int = 0, limit: int | None = None
) -> list[tuple[int, Point]]:
    """Return points of one series with their numbers, in the order they were logged.

    Parameters
    ----------
    after : int
        Number after which to go on.
    """
    table = trial_point
    series_id = conn.execute(_SERIES, {"of": arn, "named": name}).scalar()
    if series_id is None:
        return []
    rows = conn.execute(
        sa.select(table.c.id, table.c.ms, table.c.step, table.c.value)
        .where(table.c.series_id == series_id, table.c.id > after)
        .order_by(table.c.id)
        .limit(limit)
    )
    return [
        (number, Point(name, ms, step, math.nan if value is None else value))
        for number, ms, step, value in rows
    ]


def names(conn: sa.Connection, arn: str) -> Sequence[str]:
    """Return the metrics that a component has, sorted."""
    table = trial_series
    return (
        conn.execute(sa.select(table.c.name).where(table.c.arn == arn).order_by(table.c.name)).scalars().all()
    )


def drop(conn: sa.Connection, arn: str) -> None:
    """Delete every series of a component, and its points."""
    mine = sa.select(trial_series.c.id).where(trial_series.c.arn == arn)
    conn.execute(sa.delete(trial_point).where(trial_point.c.series_id.in_(mine)))
    conn.execute(sa.delete(trial_series).where(trial_series.c.arn == arn))


def _open(conn: sa.Connection, arn: str, name: str) -> int:
    found: int | None = conn.execute(_SERIES, {"of": arn, "named": name}).scalar()
    if found is None:
        dialect.insert_new(conn, trial_series, {"arn": arn, "name": name})
        found = conn.execute(_SERIES, {"of": arn, "named": name}).scalar()
    assert found is not None  # just inserted in this transaction
    return found


_SERIES = sa.select(trial_series.c.id).where(
    trial_series.c.arn == sa.bindparam("of"), trial_series.c.name == sa.bindparam("named")
)
