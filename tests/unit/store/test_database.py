import sqlite3
import stat
import sys
import threading

import pytest
import sqlalchemy as sa

from clary.kernel.errors import InternalFailure, SetupError
from clary.store import listing, records
from clary.store.base import Closed
from clary.store.database import Store
from clary.testing.store_laws.samples import HERE, make_query, make_record

FULL = "PRAGMA max_page_count = {}"


def grow(conn, n=400):
    for i in range(n):
        records.insert(conn, make_record(f"big-{i}", {"text": "x" * 4000}))


def test_the_file_is_its_owners_alone_and_keeps_a_log(store, path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert store.read(lambda conn: conn.exec_driver_sql("PRAGMA journal_mode").scalar()) == "wal"
    assert store.write(lambda conn: conn.exec_driver_sql("PRAGMA synchronous").scalar()) == 2  # FULL


def test_a_full_disk_is_one_clear_line_and_the_writer_lives_on(store):
    store.write(lambda conn: conn.exec_driver_sql(FULL.format(200)))
    with pytest.raises(
        InternalFailure, match=r"clary\.db failed: the disk is full; free some space"
    ) as caught:
        store.write(grow)
    assert "\n" not in caught.value.message
    assert store.read(listing.count, make_query()) == 0
    store.write(lambda conn: conn.exec_driver_sql(FULL.format(2**30)))
    store.write(grow)
    assert store.read(listing.count, make_query()) == 400


def test_units_that_shared_a_lost_transaction_all_hear_of_it(store):
    store.write(lambda conn: conn.exec_driver_sql(FULL.format(200)))
    started, gate = threading.Event(), threading.Event()
    outcomes = {}

    def write(name, unit):
        try:
            store.write(unit)
            outcomes[name] = "stored"
        except InternalFailure:
            outcomes[name] = "refused"

    def small(conn):
        records.insert(conn, make_record("small"))

    def hold(_conn):
        started.set()
        gate.wait(10)

    threads = [threading.Thread(target=write, args=("hold", hold))]
    threads[0].start()
    assert started.wait(10)  # so that the others queue up behind it, and share the next group
    threads += [threading.Thread(target=write, args=each) for each in (("small", small), ("big", grow))]
    for thread in threads[1:]:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    assert outcomes["hold"] == "stored"
    assert outcomes["big"] == "refused"
    is_there = store.read(records.find, *HERE, "Job", "small") is not None
    assert outcomes["small"] == ("stored" if is_there else "refused")


def test_a_read_only_database_is_one_clear_line(store):
    store.write(lambda conn: conn.exec_driver_sql("PRAGMA query_only = 1"))
    with pytest.raises(InternalFailure, match="read-only; check the permissions"):
        store.write(records.insert, make_record("one"))


def test_the_error_of_a_unit_reaches_its_caller_as_it_is(store):
    with pytest.raises(ZeroDivisionError):
        store.write(lambda _conn: 1 / 0)
    with pytest.raises(InternalFailure, match="no such table"):
        store.write(lambda conn: conn.execute(sa.text("SELECT * FROM missing")))
    with pytest.raises(SystemExit):
        store.write(lambda _conn: sys.exit(1))
    assert store.write(lambda _conn: "alive") == "alive"


def test_a_unit_that_rolls_back_or_commits_by_itself_spoils_no_other(store):
    with pytest.raises(InternalFailure):
        store.write(lambda conn: conn.exec_driver_sql("ROLLBACK"))
    assert store.write(records.insert, make_record("after")).key == "after"
    assert store.read(listing.count, make_query()) == 1


def test_a_write_inside_a_write_is_refused_instead_of_waiting_for_ever(store):
    with pytest.raises(RuntimeError, match="would wait for itself"):
        store.write(lambda _conn: store.write(records.insert, make_record("one")))


def test_a_closed_store_says_so(path):
    store = Store.open(f"sqlite:///{path}")
    store.write(records.insert, make_record("one"))
    store.close()
    store.close()
    with pytest.raises(Closed, match=r"clary\.db is closed"):
        store.write(records.insert, make_record("two"))
    with pytest.raises(Closed):
        store.read(listing.count, make_query())


def test_what_was_queued_before_a_close_is_stored(path):
    store = Store.open(f"sqlite:///{path}")
    stored = []

    def write(i):
        try:
            store.write(records.insert, make_record(f"{i:02}"))
            stored.append(f"{i:02}")
        except Closed:
            pass

    threads = [threading.Thread(target=write, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    store.close()
    for thread in threads:
        thread.join()
    with Store.open(f"sqlite:///{path}") as again:
        page = again.read(listing.page, make_query(sort="key", descending=False))
        assert [each.key for each in page.records] == sorted(stored)


def test_two_stores_may_open_one_file(store, path):
    with Store.open(f"sqlite:///{path}") as other:
        store.write(records.insert, make_record("one"))
        assert other.read(listing.count, make_query()) == 1
        other.write(records.insert, make_record("two"))
        assert store.read(listing.count, make_query()) == 2


def test_opening_a_store_that_is_up_to_date_writes_nothing(store, path):
    outsider = sqlite3.connect(path, isolation_level=None)
    outsider.execute("BEGIN IMMEDIATE")
    Store.open(f"sqlite:///{path}").close()
    outsider.execute("ROLLBACK")
    outsider.close()


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("nonsense", "is not a database URL"),
        ("mysql://host/db", "use sqlite:///… or postgresql://…"),
        ("sqlite:////proc/nothing/clary.db", "/proc/nothing"),
        ("postgresql://127.0.0.1:1/none", "the server does not answer"),
    ],
)
def test_a_store_that_cannot_be_opened_says_why_in_one_line(url, text):
    with pytest.raises(SetupError) as caught:
        Store.open(url)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_database_is_named(path):
    path.write_text("this is no database, " * 100)
    with pytest.raises(SetupError, match=r"clary\.db failed: the file is no SQLite database"):
        Store.open(f"sqlite:///{path}")


def test_a_store_in_memory_is_gone_when_closed():
    with Store.open("sqlite://") as store:
        store.write(records.insert, make_record("one"))
        ((_, _, where),) = store.read(lambda conn: conn.exec_driver_sql("PRAGMA database_list").all())
    with Store.open("sqlite://") as store:
        assert store.read(listing.count, make_query()) == 0
    with pytest.raises(FileNotFoundError):
        open(where).close()
