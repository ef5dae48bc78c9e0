"""The store's laws, over SQLite in a file, SQLite that is gone when closed, and PostgreSQL."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from clary.store import copying, identities, logs
from clary.store.database import Store
from clary.store.schema import METADATA
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


def _find_postgres() -> Path | None:
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((each for each in folders if (each / "pg_ctl").exists() and (each / "initdb").exists()), None)


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    """Start a private server on a unix socket; its data and itself are gone afterwards."""
    programs = _find_postgres()
    if programs is None:
        pytest.skip("no PostgreSQL here: install the package postgresql")
    pytest.importorskip("psycopg", reason="no psycopg here: pip install 'clary[postgres]'")
    drop = []
    home = Path(tempfile.mkdtemp(prefix="clary-pg-", dir="/tmp"))  # short: a socket's path has 107 bytes
    if os.geteuid() == 0:  # the server refuses to run as root
        if shutil.which("setpriv") is None:
            pytest.skip("no setpriv here: as root, PostgreSQL must be started as another user")
        drop = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
        shutil.chown(home, "postgres", "postgres")
    data = home / "data"

    def run(program: str, *arguments: str) -> None:
        done = subprocess.run(  # noqa: PLW1510 - checked below, with what it printed
            [*drop, programs / program, *arguments],
            cwd=home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout

    try:
        run("initdb", "-D", str(data), "-U", "clary", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-k {home} -c listen_addresses='' -c fsync=off -c max_connections=40"
        log = str(home / "log")
        run("pg_ctl", "-D", str(data), "-w", "-l", log, "-o", options, "start")
        yield f"postgresql://clary@/postgres?host={home}"
        run("pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


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
