"""The store's laws, over SQLite in a file, SQLite that is gone when closed, and PostgreSQL."""

import queue
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from clary.cli import preflight
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings
from clary.store import copying, database, identities, logs, nodes, notices, records, work
from clary.store.base import one_statement
from clary.store.database import Store
from clary.store.notices import Listener
from clary.store.schema import METADATA
from clary.store.times import to_micros
from clary.testing import postgres as server_of_tests
from clary.testing.store_laws.samples import NOW, make_work
from clary.testing.store_suite import StoreSuite


def emptied(store: Store) -> Store:
    """Return the store without a row of any table."""

    def empty(conn: sa.Connection) -> None:
        for table in reversed(METADATA.sorted_tables):
            if table.name != "setting":
                conn.execute(sa.delete(table))

    store.write(empty)
    return store


@pytest.fixture(scope="module")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path_factory.mktemp('store') / 'clary.db'}") as store:
        yield store


class TestSqliteFile(StoreSuite):
    @pytest.fixture
    def store(self, sqlite_file: Store) -> Store:
        return emptied(sqlite_file)


@pytest.fixture(scope="module")
def sqlite_memory() -> Iterator[Store]:
    with Store.open("sqlite://") as store:
        yield store


class TestSqliteMemory(StoreSuite):
    @pytest.fixture
    def store(self, sqlite_memory: Store) -> Store:
        return emptied(sqlite_memory)


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    """Start a private server on a unix socket; its data and itself are gone afterwards."""
    if why := server_of_tests.missing():
        pytest.skip(why)
    with server_of_tests.server() as url:
        yield url


@pytest.fixture(scope="module")
def postgres(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(postgres_url, tmp_path_factory.mktemp("keys") / "store.key") as store:
        yield store


@pytest.mark.postgres
class TestPostgres(StoreSuite):
    @pytest.fixture
    def store(self, postgres: Store) -> Store:
        return emptied(postgres)


@pytest.mark.postgres
def test_a_database_without_utf8_is_refused_in_one_line_that_says_how_to_make_one(postgres_url: str) -> None:
    admin = sa.create_engine(
        sa.make_url(postgres_url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as conn:
        conn.execute(sa.text("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'"))
    admin.dispose()
    url = sa.make_url(postgres_url).set(database="ascii").render_as_string(hide_password=False)
    why = (
        r"the database ascii has the encoding SQL_ASCII.*createdb --encoding UTF8 --template template0 ascii"
    )
    with pytest.raises(SetupError, match=why):
        Store.open(url)
    with pytest.raises(SetupError, match=why):
        preflight.check_store(Settings(store_url=url))


@pytest.mark.postgres
def test_connections_that_ended_while_they_rested_are_made_anew(
    postgres_url: str, postgres: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def backend(conn: sa.Connection) -> int:
        return int(conn.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())

    monkeypatch.setattr(database, "REST_S", 0.0)
    with Store.open(postgres_url) as store:
        first = store.read(backend)
        postgres.write(lambda conn: conn.execute(sa.select(sa.func.pg_terminate_backend(first))))
        assert store.read(backend) != first


@pytest.mark.postgres
def test_what_one_statement_reads_takes_no_transaction(postgres: Store) -> None:
    def standing(conn: sa.Connection) -> str:
        conn.exec_driver_sql("SELECT 1")
        driver: Any = conn.connection.driver_connection
        return str(driver.info.transaction_status.name)

    @one_statement
    def alone(conn: sa.Connection) -> str:
        return standing(conn)

    assert [postgres.read(each) for each in (standing, alone, standing)] == ["INTRANS", "IDLE", "INTRANS"]
    assert postgres.read(records.find, "1" * 12, "us-east-1", "TrainingJob", "none") is None


@pytest.mark.postgres
def test_every_row_of_the_embedded_store_goes_to_postgresql_and_back(postgres: Store, tmp_path: Path) -> None:
    """Numbers of rows go on behind those that came; what was copied there and back is the same."""
    emptied(postgres)
    with Store.open(f"sqlite:///{tmp_path / 'a.db'}") as embedded, Store.open("sqlite://") as back:
        lines = [(n, f"line {n}") for n in range(3)]
        embedded.write(logs.append, "111122223333", "us-east-1", "/g", "s", lines, 1)
        embedded.write(identities.create_account, "moved", "111122223333")
        copying.copy(embedded, postgres)
        postgres.write(logs.append, "111122223333", "us-east-1", "/g", "s", [(9, "after")], 2)
        copying.copy(postgres, back)
        found = back.read(logs.events, "111122223333", "us-east-1", "/g", "s")
        assert [event.message for event in found] == ["line 0", "line 1", "line 2", "after"]
    emptied(postgres)


@pytest.fixture
def two(postgres: Store, postgres_url: str) -> Iterator[dict[str, Store]]:
    """Return the same store as two nodes have it."""
    emptied(postgres)
    with Store.open(postgres_url, node="a") as a, Store.open(postgres_url, node="b") as b:
        yield {"a": a, "b": b}


@pytest.mark.postgres
def test_a_machine_of_a_node_is_claimed_by_that_node_alone(two: dict[str, Store]) -> None:
    a, b = two["a"], two["b"]
    for arn in ("arn:0", "arn:1", "arn:2"):
        a.write(work.arm, make_work(arn))
    a.write(nodes.leave, "b", "arn:0")
    a.write(nodes.leave, "a", "arn:2")
    assert b.read(work.next_due) == NOW
    assert [each.arn for each in a.write(work.claim, NOW, "a", 1, 30.0)] == ["arn:2"]  # its own first
    assert [each.arn for each in a.write(work.claim, NOW, "a", 9, 30.0)] == ["arn:1"]
    assert a.write(work.claim, NOW, "a", 9, 30.0) == []
    assert [each.arn for each in b.write(work.claim, NOW, "b", 9, 30.0)] == ["arn:0"]


@pytest.mark.postgres
def test_no_machine_of_a_copy_waits_for_a_node_that_is_not_there(two: dict[str, Store]) -> None:
    a, b = two["a"], two["b"]
    for arn, node in (("arn:0", "gone"), ("arn:1", "")):
        a.write(work.arm, make_work(arn))
        a.write(nodes.leave, node, arn)
    a.write(nodes.enter, nodes.Node("gone", "life", 1, {}))
    assert [each.arn for each in b.write(work.claim, NOW, "b", 9, 30.0)] == ["arn:1"]
    a.write(nodes.give_up_all, to_micros(NOW))
    assert a.read(nodes.every) == []
    assert [each.arn for each in b.write(work.claim, NOW, "b", 9, 30.0)] == ["arn:0"]


@pytest.mark.postgres
def test_a_claim_gives_a_new_machine_to_the_node_that_is_chosen_and_tells_it(
    two: dict[str, Store], postgres_url: str
) -> None:
    heard: queue.Queue[Mapping[str, Any]] = queue.Queue()
    listener = Listener(postgres_url, "b", heard.put, lambda: None).start()
    try:
        assert listener.is_listening.wait(20)
        two["a"].write(work.arm, make_work("arn:1"))
        assert two["a"].write(work.claim, NOW, "a", 9, 30.0, lambda _noun: "b") == []
        assert heard.get(timeout=20) == {"from": "a", "wake": "b"}
        (mine,) = two["b"].write(work.claim, NOW, "b", 9, 30.0, lambda _noun: "a")
        assert (mine.arn, mine.node) == ("arn:1", "b")  # whose it is once, it stays
        two["a"].write(work.wake, "arn:1", NOW)
        assert heard.get(timeout=20) == {"from": "a", "wake": "b"}
        two["b"].write(work.wake, "arn:1", NOW)  # the owner itself tells nobody

        def fails(conn: sa.Connection) -> None:
            notices.tell(conn, {"drop": [["route", "x"]]})
            raise ValueError

        with pytest.raises(ValueError):  # noqa: PT011 - the test's own
            two["a"].write(fails)
        two["a"].write(notices.tell, {"drop": [["route", "y"]]})
        assert heard.get(timeout=20)["drop"] == [["route", "y"]]
    finally:
        listener.close()


@pytest.mark.postgres
def test_a_listener_that_was_cut_off_listens_again_and_says_so(postgres: Store, postgres_url: str) -> None:
    lapses: queue.Queue[None] = queue.Queue()
    heard: queue.Queue[Mapping[str, Any]] = queue.Queue()
    listener = Listener(postgres_url, "b", heard.put, lambda: lapses.put(None)).start()
    try:
        lapses.get(timeout=20)
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
        postgres.write(lambda conn: conn.execute(sa.text(cut)))
        lapses.get(timeout=20)
        postgres.write(notices.tell, {"wake": "b"})
        assert heard.get(timeout=20)["wake"] == "b"
    finally:
        listener.close()
