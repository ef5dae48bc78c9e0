"""What the laws are tried on."""

from datetime import UTC, datetime
from typing import Any

from clary.store import listing
from clary.store.database import Store
from clary.store.listing import Position, Query
from clary.store.records import Record
from clary.store.work import Work

NOW = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
HERE = ("111122223333", "us-east-1")
"""Account and region."""


def make_record(key: str, document: dict[str, Any] | None = None, **changes: Any) -> Record:
    """Return a record of the noun `Job` with defaults for what does not matter."""
    values: dict[str, Any] = {
        "account": HERE[0],
        "region": HERE[1],
        "noun": "Job",
        "status": "Completed",
        "created": NOW,
        "modified": NOW,
        "document": document or {},
        "private": {},
        "version": 1,
    } | changes
    values.setdefault("arn", f"arn:{values['account']}:{values['region']}:{values['noun']}/{key}")
    return Record(key=key, **values)


def make_query(*where: Any, **changes: Any) -> Query:
    """Return a query over what `make_record` makes."""
    return Query(*HERE, "Job", tuple(where), **changes)


def keys_of(store: Store, query: Query) -> list[str]:
    """Return the keys of all pages, in order."""
    keys: list[str] = []
    while True:
        page = store.read(listing.page, query)
        keys += [each.key for each in page.records]
        if page.next is None:
            return keys
        position = Position.from_json(page.next.to_json())
        query = Query(**{name: getattr(query, name) for name in query.__slots__} | {"after": position})


def make_work(arn: str, due: datetime = NOW) -> Work:
    """Return a machine's row that is due."""
    return Work(arn=arn, noun="Job", state="Starting", due=due)
