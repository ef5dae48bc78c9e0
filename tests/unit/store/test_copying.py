"""Every row of one store in another."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from clary.kernel.errors import SetupError
from clary.store import copying, identities, logs
from clary.store.database import Store
from clary.store.identities import Credential
from clary.store.schema import METADATA


@pytest.fixture
def full(path: Path) -> Store:
    """Return a store with an account, its key, and some log lines."""
    store = Store.open(f"sqlite:///{path}", path.with_name("secret.key"))

    def fill(conn: sa.Connection) -> None:
        identities.create_account(conn, "a", "111122223333")
        key = Credential("AKIA1", "hidden", "111122223333", "arn:aws:iam::111122223333:root")
        identities.insert(conn, key)
        lines = [(n, f"line {n}") for n in range(copying.BATCH_ROWS + 1)]
        logs.append(conn, "111122223333", "us-east-1", "/group", "stream", lines, 1)

    store.write(fill)
    return store


def rows(store: Store) -> dict[str, list[tuple[object, ...]]]:
    def read(conn: sa.Connection) -> dict[str, list[tuple[object, ...]]]:
        return {
            table.name: [tuple(row) for row in conn.execute(sa.select(table)).all()]
            for table in METADATA.sorted_tables
        }

    return store.read(read)


def test_every_row_of_every_table_arrives(full: Store, path: Path) -> None:
    told: list[tuple[str, int]] = []
    with full, Store.open(f"sqlite:///{path.with_name('other.db')}", path.with_name("secret.key")) as other:
        counts = copying.copy(full, other, lambda table, n: told.append((table, n)))
        assert rows(other) == rows(full)
        assert counts["log_event"] == copying.BATCH_ROWS + 1
        assert ("log_event", copying.BATCH_ROWS) in told
        found = other.read(identities.find, "AKIA1")
        assert found is not None
        assert found.secret == "hidden"


def test_a_target_with_rows_is_refused_and_left_as_it_was(full: Store, path: Path) -> None:
    with full, Store.open(f"sqlite:///{path.with_name('other.db')}", path.with_name("secret.key")) as other:
        other.write(identities.create_account, "b", "444455556666")
        before = rows(other)
        with pytest.raises(SetupError, match="rows in its table account already"):
            copying.copy(full, other)
        assert rows(other) == before


def test_new_rows_are_numbered_behind_the_copied_ones(full: Store, path: Path) -> None:
    with full, Store.open(f"sqlite:///{path.with_name('other.db')}", path.with_name("secret.key")) as other:
        copying.copy(full, other)
        other.write(logs.append, "111122223333", "us-east-1", "/group", "stream", [(9_999, "later")], 2)
        assert len(rows(other)["log_event"]) == copying.BATCH_ROWS + 2
