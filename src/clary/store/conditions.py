"""Conditions on records, and their SQL.

Condition("status", "eq", "Completed")
Condition("FinalMetricDataList.Value", "gt", 0.9)      any element of a list may satisfy it
Condition(path("HyperParameters", "a.b"), "eq", "1")   names with dots are quoted
Condition("tag:team", "exists")
Group("any", (…, …))
Within("InputDataConfig", (…, …))                      one element must satisfy them all
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa

from clary.store import functions, json_sql, times
from clary.store.json_sql import Leaf
from clary.store.schema import facet, record, tag

Match = Literal["all", "any"]

TEXT_COLUMNS = {"key": record.c.key, "arn": record.c.arn, "status": record.c.status}
TIME_COLUMNS = {"created": record.c.created, "modified": record.c.modified}

_SEGMENT = re.compile(r'"((?:[^"\\]|\\.)*)"|([^."]+)')
_ORDERED: Mapping[str, Callable[[Any, Any], sa.ColumnElement[bool]]] = {
    "eq": lambda mine, theirs: mine == theirs,
    "gt": lambda mine, theirs: mine > theirs,
    "lt": lambda mine, theirs: mine < theirs,
    "ge": lambda mine, theirs: mine >= theirs,
    "le": lambda mine, theirs: mine <= theirs,
}
_NEGATED = {"ne": "eq", "not_contains": "contains", "not_exists": "exists"}
OPERATORS = (
    "eq",
    "ne",
    "in",
    "contains",
    "not_contains",
    "prefix",
    "gt",
    "lt",
    "ge",
    "le",
    "exists",
    "not_exists",
)


@dataclass(frozen=True, slots=True)
class Condition:
    """One test of one field.

    Notes
    -----
    Numbers compare with numbers, and with texts that spell one. Texts compare by code point with texts, and,
    where they spell a number, a time or a truth value, with those of the document. Datetimes compare with
    times. What is not comparable does not match. `ne`, `not_contains` and `not_exists` are true exactly where
    `eq`, `contains` and `exists` are not: where the field is missing, too. An empty list counts as missing.
    """

    field: str
    """`key`, `arn`, `status`, `created`, `modified`, a dotted path of the document, or `tag:<key>`."""
    op: str
    """One of `OPERATORS`."""
    value: Any = None
    """Text, number, truth value or aware datetime; several of them for `in`."""


@dataclass(frozen=True, slots=True)
class Group:
    """Several clauses, of which all or any must hold. Of none, `all` holds and `any` does not."""

    match: Match
    conditions: tuple["Clause", ...]


@dataclass(frozen=True, slots=True)
class Within:
    """Clauses that must hold of one and the same element of a list; their fields are paths of the element."""

    field: str
    conditions: tuple["Clause", ...]
    match: Match = "all"


@dataclass(frozen=True, slots=True)
class Filed:
    """A value that the record must have among its facets; see `facets`."""

    code: int


Clause = Condition | Group | Within | Filed


def code_of(scope: int, path: str, value: str) -> int:
    """Return the number under which a value at a path is filed: 63 bits of their hash."""
    text = f"{scope}\n{path}\n{value}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def path(*names: str) -> str:
    """Return the dotted path of member names, quoted where a name needs it."""
    return ".".join(
        name if name and not set(name) & set('."\\') else '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'
        for name in names
    )


def names_of(field: str) -> tuple[str, ...]:
    """Take a dotted path apart.

    Raises
    ------
    ValueError
        It is no path.
    """
    names = []
    position = 0
    while True:
        match = _SEGMENT.match(field, position)
        if match is None:
            raise ValueError(f"{field!r} is not a dotted path of member names")
        quoted, plain = match.groups()
        names.append(re.sub(r"\\(.)", r"\1", quoted) if plain is None else plain)
        position = match.end()
        if position == len(field):
            return tuple(names)
        if field[position] != ".":
            raise ValueError(f"{field!r} is not a dotted path of member names")
        position += 1


def key_range(
    column: sa.ColumnElement[str], prefix: str
) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    """Return the two bounds between which all texts begin with `prefix`, for an index to seek by."""
    for i in range(len(prefix) - 1, -1, -1):
        following = ord(prefix[i]) + 1
        if 0xD800 <= following <= 0xDFFF:
            following = 0xE000  # no text holds half a surrogate pair
        if following <= 0x10FFFF:
            return column >= prefix, column < prefix[:i] + chr(following)
    return column >= prefix, sa.true()


def to_sql(clause: Clause, sql: json_sql.JsonSql) -> sa.ColumnElement[bool]:
    """Return the SQL of a clause on `record`.

    Raises
    ------
    ValueError
        An unknown operator, an operator that does not suit the value, or a field that is no path.
    """
    return _clause(clause, sql, record.c.document, in_element=False)


def as_time(value: Any) -> datetime | None:
    """Return the time that a condition's value stands for, or None."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d", value):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def _clause(  # noqa: PLR0911 - one return for each kind of clause
    clause: Clause, sql: json_sql.JsonSql, document: sa.ColumnElement[Any], *, in_element: bool
) -> sa.ColumnElement[bool]:
    match clause:
        case Group(match=how, conditions=parts):
            return _joined(how, [_clause(part, sql, document, in_element=in_element) for part in parts])
        case Within(field=field, conditions=parts, match=how):
            return sql.any_element(
                document,
                names_of(field),
                lambda element: _joined(
                    how, [_clause(part, sql, element, in_element=True) for part in parts]
                ),
            )
        case Filed(code=code):
            filed = sa.select(sa.literal(1)).where(facet.c.code == code, facet.c.key == record.c.key)
            return filed.correlate(record).exists()
        case Condition(field=field, op=op) if op in _NEGATED:
            positive = Condition(field, _NEGATED[op], clause.value)
            return _clause(positive, sql, document, in_element=in_element).is_not(sa.true())
        case Condition(op=op) if op not in OPERATORS:
            raise ValueError(f"{clause.field}: operator {op!r} is not one of {', '.join(OPERATORS)}")
        case Condition(op="in"):
            one_of = tuple(Condition(clause.field, "eq", value) for value in _several(clause))
            return _clause(Group("any", one_of), sql, document, in_element=in_element)
        case Condition(field=field) if not in_element and field in TEXT_COLUMNS:
            return _on_text_column(clause, sql, TEXT_COLUMNS[field])
        case Condition(field=field) if not in_element and field in TIME_COLUMNS:
            return _on_time_column(clause, TIME_COLUMNS[field])
        case Condition(field=field) if not in_element and field.startswith("tag:"):
            mine = sa.select(tag.c.value).where(
                tag.c.arn == record.c.arn, tag.c.key == field.removeprefix("tag:")
            )
            test = _test(clause, sql, sql.text_leaf(tag.c.value))
            return mine.where(test.is_(sa.true())).correlate(record).exists()
        case _:
            return sql.any_leaf(document, names_of(clause.field), lambda leaf: _test(clause, sql, leaf))


def _joined(how: Match, parts: list[sa.ColumnElement[bool]]) -> sa.ColumnElement[bool]:
    if how == "all":
        return sa.and_(sa.true(), *parts)
    if how == "any":
        return sa.or_(sa.false(), *parts)
    raise ValueError(f"match must be 'all' or 'any', not {how!r}")


def _several(condition: Condition) -> Iterable[Any]:
    if isinstance(condition.value, str) or not isinstance(condition.value, Iterable):
        raise ValueError(f"{condition.field}: operator 'in' wants several values, not {condition.value!r}")
    return condition.value


def _on_text_column(
    condition: Condition, sql: json_sql.JsonSql, column: sa.ColumnElement[str]
) -> sa.ColumnElement[bool]:
    if condition.op == "exists":
        return column != ""
    value = condition.value
    if not isinstance(value, str):
        raise ValueError(f"{condition.field}: {condition.op!r} wants text, not {value!r}")
    if condition.op == "contains":
        return sql.contains(column, value)
    if condition.op == "prefix":
        return sa.and_(sa.func.substr(column, 1, len(value)) == value, *key_range(column, value))
    return _ORDERED[condition.op](column, value)


def _on_time_column(condition: Condition, column: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    if condition.op == "exists":
        return sa.true()
    moment = as_time(condition.value)
    if moment is None or condition.op not in _ORDERED:
        raise ValueError(
            f"{condition.field}: {condition.op!r} with {condition.value!r}; "
            "allowed are eq, ne, in, gt, lt, ge and le with a time"
        )
    return _ORDERED[condition.op](column, times.to_micros(moment))


def _test(condition: Condition, sql: json_sql.JsonSql, leaf: Leaf) -> sa.ColumnElement[bool]:
    """Return the test of one value that a path reached; may be NULL where it does not apply."""
    op, value = condition.op, condition.value
    if op == "exists":
        return leaf.exists
    if op in {"contains", "prefix"}:
        if not isinstance(value, str):
            raise ValueError(f"{condition.field}: {op!r} wants text, not {value!r}")
        return sql.contains(leaf.text, value) if op == "contains" else sql.begins(leaf.text, value)
    compare = _ORDERED[op]
    match value:
        case bool():
            return compare(leaf.truth, sa.literal(int(value)))
        case int() | float():
            # Beyond 64 bits neither database has integers; a float is what JSON readers make of them, too.
            bound = sa.literal(float(value) if abs(value) >= 2**63 else value)
            return sa.or_(compare(leaf.number, bound), compare(leaf.numeral, bound))
        case datetime():
            return compare(leaf.time, times.to_text(value))
        case str():
            readings = [compare(leaf.text, value)]
            number = functions.number(value)
            if number is not None:
                readings.append(compare(leaf.number, sa.literal(number)))
            moment = as_time(value)
            if moment is not None:
                readings.append(compare(leaf.time, times.to_text(moment)))
            if value.lower() in {"true", "false"}:
                readings.append(compare(leaf.truth, sa.literal(int(value.lower() == "true"))))
            return sa.or_(*readings)
        case _:
            raise ValueError(f"{condition.field}: {op!r} with {value!r}; text, number, truth value or time")
