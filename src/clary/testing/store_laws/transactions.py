# ruff: noqa: D102 - the name of a test is the sentence it proves
"""Laws of `read` and `write`."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from clary.store import dialect, listing, records
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

    @pytest.mark.parametrize("is_shared", [False, True])
    def test_what_one_transaction_holds_no_other_deletes(self, store: Store, is_shared: bool) -> None:
        store.write(records.insert, make_record("one"))
        held, go, order = threading.Event(), threading.Event(), []

        def name_it(conn: sa.Connection) -> None:
            assert records.hold(conn, *HERE, "Job", "one", is_shared=is_shared) is not None
            held.set()
            assert go.wait(30)
            order.append("named")

        def drop(conn: sa.Connection) -> None:
            assert records.hold(conn, *HERE, "Job", "one") is not None
            order.append("deleted")
            records.delete(conn, *HERE, "Job", "one")

        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(store.write, name_it)
            assert held.wait(30)
            second = pool.submit(store.write, drop)
            with pytest.raises(TimeoutError):
                second.result(0.2)
            go.set()
            first.result(30)
            second.result(30)
        assert order == ["named", "deleted"]
        assert store.write(records.hold, *HERE, "Job", "one") is None

    def test_what_is_held_shared_is_held_so_by_many_and_may_change(self, store: Store) -> None:
        one = store.write(records.insert, make_record("one"))
        gate = threading.Barrier(1 if store.read(dialect.is_sqlite) else 2, timeout=30)

        def name_it(conn: sa.Connection) -> None:
            records.hold(conn, *HERE, "Job", "one", is_shared=True)
            gate.wait()

        with ThreadPoolExecutor(2) as pool:
            for each in [pool.submit(store.write, name_it) for _ in range(2)]:
                each.result(60)
        assert store.write(records.update, one).version == 2

    def test_many_threads_may_write(self, store: Store) -> None:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda i: store.write(records.insert, make_record(f"{i:03}")), range(100)))
        assert keys_of(store, make_query(sort="key", descending=False)) == [f"{i:03}" for i in range(100)]
