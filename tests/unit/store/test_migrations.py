import sqlite3

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from clary.kernel.errors import SetupError
from clary.store import migrations
from clary.store.database import Store
from clary.store.schema import METADATA


def test_head_is_the_newest_version():
    folder = migrations.__path__[0]
    assert ScriptDirectory(folder).get_current_head() == migrations.HEAD


def test_migrations_make_the_tables_of_the_schema(store):
    def differences(conn):
        options = {
            "include_name": lambda name, kind, _: not (kind == "table" and name.startswith("record_name"))
        }
        return compare_metadata(MigrationContext.configure(conn, opts=options), METADATA)

    def indexes(conn):
        inspector = sa.inspect(conn)
        return {
            (table.name, index["name"], tuple(index["column_names"]), bool(index["unique"]))
            for table in METADATA.sorted_tables
            for index in inspector.get_indexes(table.name)
        }

    assert store.read(differences) == []
    assert store.read(indexes) == {
        (table.name, index.name, tuple(column.name for column in index.columns), index.unique)
        for table in METADATA.sorted_tables
        for index in table.indexes
    }


def test_a_store_of_a_newer_release_is_refused(path):
    Store.open(f"sqlite:///{path}").close()
    conn = sqlite3.connect(path)
    with conn:
        conn.execute("UPDATE alembic_version SET version_num = '9999'")
    conn.close()
    with pytest.raises(SetupError, match="newer Clary"):
        Store.open(f"sqlite:///{path}")


def test_a_failed_migration_leaves_nothing_behind(path, monkeypatch):
    monkeypatch.setattr(migrations, "HEAD", "9998")
    with pytest.raises(SetupError):
        Store.open(f"sqlite:///{path}")
    conn = sqlite3.connect(path)
    assert conn.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    conn.close()
