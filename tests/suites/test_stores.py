"""The store's laws, over SQLite in a file, SQLite that is gone when closed, and PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from clary.store import copying, identities, logs
from clary.store.database import Store
from clary.store.schema import METADATA
from clary.testing import postgres as server_of_tests
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
