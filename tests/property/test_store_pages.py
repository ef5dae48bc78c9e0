"""Pages of any list concatenate to the sorted, filtered whole, as plain Python computes it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.store import listing, plans, records, schema, tags
from clary.store.database import Store
from clary.store.listing import Condition, Group, Query, Within
from clary.store.records import Record

HERE = ("111122223333", "us-east-1", "Job")
START = datetime(2026, 1, 1, tzinfo=UTC)

moments = st.integers(0, 5).map(lambda i: START + timedelta(microseconds=i))
keys = st.lists(st.sampled_from(["ab", "ba", "c", "A", "-"]), min_size=1, max_size=4).map("".join)
parts_of_keys = keys | st.sampled_from(["aba", "bab", "abb", "abab", "bac"])
words = st.sampled_from(["", "a", "ab", "B", "é", "z-1"])
numbers = st.integers(-3, 3) | st.sampled_from([0.5, -0.5, 1e9])
scalars = words | numbers | st.booleans() | st.none() | moments
elements = st.fixed_dictionaries({"N": numbers}, optional={"Name": words})
documents: st.SearchStrategy[dict[str, Any]] = st.just({}) | st.fixed_dictionaries(
    {
        "Value": scalars,
        "Deep": st.fixed_dictionaries({}, optional={"Er": scalars}),
        "List": st.lists(elements | words, max_size=3),
        "Plain": st.lists(scalars, max_size=3),
    }
)
statuses = st.sampled_from(["", "Done", "Failed"])


@st.composite
def shelves(draw: st.DrawFn) -> list[tuple[Record, dict[str, str]]]:
    """Draw records with their tags; keys are unique."""
    drawn = []
    for key in draw(st.lists(keys, unique=True, min_size=3, max_size=12)):
        record = Record(
            *HERE, key, f"arn:{key}", draw(statuses), draw(moments), draw(moments), draw(documents), {}, 1
        )
        drawn.append((record, draw(st.dictionaries(st.sampled_from(["t", "u"]), words, max_size=2))))
    return drawn


paths = st.sampled_from(["Value", "Deep.Er", "List.Name", "List.N", "List", "Plain", "tag:t"])
orders = st.sampled_from(["eq", "ne", "gt", "lt", "ge", "le"])
parts = st.sampled_from(["contains", "not_contains", "prefix"])
conditions = st.one_of(
    st.builds(Condition, paths, orders, scalars.filter(lambda value: value is not None)),
    st.builds(Condition, paths, parts, words),
    st.builds(Condition, paths, st.just("in"), st.lists(words | numbers, max_size=2).map(tuple)),
    st.builds(Condition, paths, st.sampled_from(["exists", "not_exists"])),
    st.builds(Condition, st.just("status"), st.sampled_from(["exists", "not_exists"])),
    st.builds(Condition, st.sampled_from(["key", "status", "arn"]), orders | parts, keys | statuses),
    st.builds(Condition, st.sampled_from(["created", "modified"]), orders, moments),
)
names = st.builds(Condition, st.just("key"), parts, parts_of_keys)
clauses = (
    names
    | st.recursive(
        conditions,
        lambda inner: st.builds(
            Group, st.sampled_from(["all", "any"]), st.lists(inner, max_size=2).map(tuple)
        ),
        max_leaves=3,
    )
    | st.builds(
        Within,
        st.just("List"),
        st.lists(
            st.builds(Condition, st.sampled_from(["Name", "N"]), orders, words | numbers), max_size=2
        ).map(tuple),
    )
)
queries = st.builds(
    Query,
    *map(st.just, HERE),
    where=st.lists(clauses, min_size=1, max_size=2).map(tuple),
    match=st.sampled_from(["all", "all", "any"]),
    sort=st.sampled_from(["key", "key", "created", "modified", "status", "arn", "Value", "Deep.Er"]),
    descending=st.booleans(),
    limit=st.integers(1, 3),
)


def reach(value: Any, names: list[str]) -> list[Any]:
    """Return what a path reaches, walking through lists."""
    found = [value]
    for name in names:
        found = [each[name] for each in flat(found) if isinstance(each, dict) and name in each]
    return flat(found)


def flat(values: list[Any]) -> list[Any]:
    """Return values with lists among them opened."""
    return [each for value in values for each in (value if isinstance(value, list) else [value])]


def kind(value: Any) -> str:
    """Return what a value compares with."""
    if isinstance(value, bool):
        return "truth"
    return {str: "text", int: "number", float: "number", datetime: "time"}.get(type(value), "")


def compares(op: str, mine: Any, theirs: Any) -> bool:
    """Say whether two comparable values stand in an order; the texts drawn here spell no number."""
    if kind(mine) != kind(theirs) or not kind(mine):
        return False
    return bool(
        {
            "eq": mine == theirs,
            "gt": mine > theirs,
            "lt": mine < theirs,
            "ge": mine >= theirs,
            "le": mine <= theirs,
        }[op]
    )


def holds(  # noqa: PLR0911 - one return for each kind of clause
    clause: Any, record: Record, tagged: dict[str, str], element: Any = None
) -> bool:
    """Say what the documentation of conditions says."""
    if isinstance(clause, Group):
        return (all if clause.match == "all" else any)(
            holds(each, record, tagged, element) for each in clause.conditions
        )
    if isinstance(clause, Within):
        structures = [
            each for each in reach(record.document, clause.field.split(".")) if isinstance(each, dict)
        ]
        return any(all(holds(each, record, tagged, one) for each in clause.conditions) for one in structures)
    field, op, value = clause.field, clause.op, clause.value
    if op in {"ne", "not_contains", "not_exists"}:
        opposite = {"ne": "eq", "not_contains": "contains", "not_exists": "exists"}[op]
        return not holds(Condition(field, opposite, value), record, tagged, element)
    if op == "in":
        return any(holds(Condition(field, "eq", each), record, tagged, element) for each in value)
    if element is not None:
        found = reach(element, field.split("."))
    elif field.startswith("tag:"):
        found = [tagged[field[4:]]] if field[4:] in tagged else []
    elif field in {"key", "arn", "status", "created", "modified"}:
        found = [getattr(record, field)]
        if op == "exists":
            return found != [""]
    else:
        found = reach(record.document, field.split("."))
    if op == "exists":
        return any(each is not None for each in found)
    if op == "contains":
        return any(isinstance(each, str) and value in each for each in found)
    if op == "prefix":
        return any(isinstance(each, str) and each.startswith(value) for each in found)
    return any(compares(op, each, value) for each in found)


def sort_value(record: Record, sort: str) -> tuple[Any, ...]:
    """Return what a record sorts by: missing first, then numbers and truth values, text, times."""
    if sort in {"key", "created", "modified", "status", "arn"}:
        return (getattr(record, sort), record.key)
    value: Any = record.document
    for name in sort.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    rank = {"number": 1, "truth": 1, "text": 2, "time": 3}.get(kind(value), 0)
    return (rank, value if rank else 0, record.key)


def fill(conn: sa.Connection, shelf: list[tuple[Record, dict[str, str]]]) -> None:
    """Leave exactly these records in the store."""
    conn.execute(sa.delete(schema.record))
    conn.execute(sa.delete(schema.tag))
    for record, tagged in shelf:
        records.insert(conn, record)
        tags.put(conn, record.arn, tagged)
    others = replace(shelf[0][0], noun="Other", arn="") if shelf else None
    if others:
        records.insert(conn, others)


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with Store.open("sqlite://") as opened:
        yield opened


@pytest.mark.parametrize("impatience", [None, 0, 2])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shelf=shelves(), query=queries)
def test_pages_concatenate_to_the_sorted_filtered_whole(
    store: Store, impatience: int | None, shelf: list[tuple[Record, dict[str, str]]], query: Query
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if impatience is not None:  # lists this small take every way that a million rows take
            for limit in ("GATHER", "RANGE", "PATIENCE", "LAST_GATHER"):
                patch.setattr(plans, limit, impatience)
        store.write(fill, shelf)
        join = all if query.match == "all" or not query.where else any
        whole = [
            record for record, tagged in shelf if join(holds(each, record, tagged) for each in query.where)
        ]
        whole.sort(key=lambda record: sort_value(record, str(query.sort)), reverse=query.descending)
        pages: list[Record] = []
        at: Query | None = query
        while at is not None:
            assert len(pages) <= len(whole)  # a page that repeats itself would go on for ever
            page = store.read(listing.page, at)
            assert len(page.records) == query.limit or page.next is None
            pages += page.records
            at = replace(query, after=listing.Position.from_json(page.next.to_json())) if page.next else None
        assert pages == whole
        assert store.read(listing.count, query) == len(whole)
