# ruff: noqa: D102 - the name of a test is the sentence it proves
"""Laws of `read` and `write`."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from clary.store import listing, records
from clary.store.database import Store
from clary.testing.store_laws.samples import HERE, keys_of, make_query, make_record


class TransactionLaws:
    """What `read` and `write` promise."""

    def test_a_failing_unit_is_undone_alone(self, store: Store) -> None:
        def fail(conn: sa.Connection) -> None:
            records.insert(conn, make_record("lost"))
            raise LookupError("on purpose")

        gate = threading.Barrier(9)

        def attempt(i: int) -> str:
            gate.wait()
            if i % 3 == 0:
                with pytest.raises(LookupError, match="on purpose"):
                    store.write(fail)
            else:
                store.write(records.insert, make_record(f"kept-{i}"))
            return f"kept-{i}"

        with ThreadPoolExecutor(9) as pool:
            names = list(pool.map(attempt, range(9)))
        assert keys_of(store, make_query(sort="key", descending=False)) == [
            name for i, name in enumerate(names) if i % 3
        ]

    def test_a_write_returns_what_the_unit_returned_and_a_read_sees_it(self, store: Store) -> None:
        assert store.write(records.insert, make_record("one")).key == "one"
        assert store.read(records.find, *HERE, "Job", "one") is not None

    def test_a_read_cannot_write(self, store: Store) -> None:
        with pytest.raises(Exception, match=r"read-?only"):
            store.read(records.insert, make_record("one"))
        assert store.read(records.find, *HERE, "Job", "one") is None

    def test_a_read_sees_one_snapshot(self, store: Store) -> None:
        def look_twice(conn: sa.Connection) -> tuple[int, int]:
            before = listing.count(conn, make_query())
            writer = threading.Thread(target=store.write, args=(records.insert, make_record("new")))
            writer.start()
            writer.join()
            return before, listing.count(conn, make_query())

        assert store.read(look_twice) == (0, 0)
        assert store.read(listing.count, make_query()) == 1

    def test_many_threads_may_write(self, store: Store) -> None:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda i: store.write(records.insert, make_record(f"{i:03}")), range(100)))
        assert keys_of(store, make_query(sort="key", descending=False)) == [f"{i:03}" for i in range(100)]
