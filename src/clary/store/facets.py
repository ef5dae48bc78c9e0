"""Facets: values by which records of a noun are looked up, kept beside them for an index to seek.

    Condition("Parents.TrialName", "eq", "t") ──▶ Filed(code) ──▶ facet (code, key) ──▶ record

A path into a document is read row by row: ten thousand of them in a blink, a million in seconds. What many
records are asked for by one text inside is filed here under a number of 63 bits, as of `scope_of`, that
stands for scope, path and value. `FILED` is a matter of the schema, as any index: a path is added by a
migration that files what is there already.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from clary.store.conditions import Clause, Condition, Filed, Group, code_of
from clary.store.schema import facet as table
from clary.store.schema import record


@dataclass(frozen=True, slots=True)
class Filing:
    """What is filed of a noun."""

    paths: tuple[str, ...]
    """Dotted paths of texts; any element of a list may hold it."""
    is_fixed: bool = True
    """None of them changes after the record was inserted."""
    folded: frozenset[str] = frozenset()
    """Paths whose value is found by its lower-case spelling, too."""


FILED: Mapping[str, Filing] = {
    "TrainingJob": Filing(("TuningJobArn", "ModelArtifacts.S3ModelArtifacts")),
    "Experiment": Filing(("ExperimentId",)),
    "Trial": Filing(("ExperimentName",)),
    "TrialComponent": Filing(
        ("Parents.TrialName", "Parents.ExperimentName", "Source.SourceArn"),
        is_fixed=False,
        folded=frozenset({"Source.SourceArn"}),  # the SageMaker SDK asks for it in lower case
    ),
    "Artifact": Filing(("Source.SourceUri",)),
    "Action": Filing(("Source.SourceUri",)),
    "Context": Filing(("Source.SourceUri",)),
    "Association": Filing(("SourceArn", "DestinationArn")),
}


def sharpen(scope: int, noun: str, where: Iterable[Clause]) -> tuple[Clause, ...]:
    """Return the same clauses, those that facets answer as `Filed`."""
    filing = FILED.get(noun)
    if filing is None:
        return tuple(where)
    return tuple(_sharper(scope, filing, clause) for clause in where)


def _sharper(scope: int, filing: Filing, clause: Clause) -> Clause:
    match clause:
        case Condition(field=field, op="eq", value=str(value)) if field in filing.paths:
            return Filed(code_of(scope, field, value))
        case Condition(field=field, op="in", value=tuple() | list() as values) if field in filing.paths:
            if all(isinstance(each, str) for each in values):
                return Group("any", tuple(Filed(code_of(scope, field, each)) for each in values))
            return clause
        case Group(conditions=parts):
            return replace(clause, conditions=tuple(_sharper(scope, filing, part) for part in parts))
        case _:
            return clause


def add(conn: sa.Connection, scope: int, noun: str, key: str, document: Mapping[str, Any]) -> None:
    """File what a new record has."""
    filing = FILED.get(noun)
    if filing is None:
        return
    rows = [{"code": code, "key": key, "scope": scope} for code in codes_of(scope, filing, document)]
    if rows:
        conn.execute(sa.insert(table), rows)


def renew(conn: sa.Connection, scope: int, noun: str, key: str, document: Mapping[str, Any]) -> None:
    """File what a changed record has now."""
    filing = FILED.get(noun)
    if filing is None or filing.is_fixed:
        return
    known = set(conn.execute(_CODES, {"of": scope, "named": key}).scalars())
    now = codes_of(scope, filing, document)
    if gone := known - now:
        conn.execute(
            sa.delete(table).where(table.c.scope == scope, table.c.key == key, table.c.code.in_(list(gone)))
        )
    if new := now - known:
        conn.execute(sa.insert(table), [{"code": code, "key": key, "scope": scope} for code in sorted(new)])


def drop(conn: sa.Connection, scope: int, noun: str, key: str) -> None:
    """Forget a record that is deleted."""
    if noun in FILED:
        conn.execute(_DROP, {"of": scope, "named": key})


def codes_of(scope: int, filing: Filing, document: Mapping[str, Any]) -> set[int]:
    """Return the codes of everything that is filed of a document."""
    codes = set()
    for path in filing.paths:
        for value in _texts(document, path.split(".")):
            codes.add(code_of(scope, path, value))
            if path in filing.folded:
                codes.add(code_of(scope, path, value.lower()))
    return codes


def _texts(value: Any, names: list[str]) -> Iterator[str]:
    if isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each, names)
    elif names:
        if isinstance(value, Mapping) and names[0] in value:
            yield from _texts(value[names[0]], names[1:])
    elif isinstance(value, str):
        yield value


_CODES = sa.select(table.c.code).where(
    table.c.scope == sa.bindparam("of"), table.c.key == sa.bindparam("named")
)
_DROP = sa.delete(table).where(table.c.scope == sa.bindparam("of"), table.c.key == sa.bindparam("named"))


def records_with(conn: sa.Connection, codes: Iterable[int]) -> list[Any]:
    """Return (id, document) of every record that has one of the facets."""
    joined = sa.and_(record.c.scope == table.c.scope, record.c.key == table.c.key)
    found = (
        sa.select(record.c.id, record.c.document)
        .join_from(table, record, joined)
        .where(table.c.code.in_(list(codes)))
        .order_by(record.c.id)
    )
    return list(conn.execute(found))
