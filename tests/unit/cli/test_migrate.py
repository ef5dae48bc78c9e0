"""`clary migrate`: what it asks for, and the way back to an older release's tables."""

import sqlite3

import pytest

from clary.cli.commands.migrate import migrate
from clary.kernel.errors import SetupError
from clary.store.database import Store


def version(path):
    with sqlite3.connect(path) as conn:
        (found,) = conn.execute("SELECT version_num FROM alembic_version").fetchone()
    return found


def test_tables_go_back_to_the_version_that_an_older_release_needs(tmp_path, capsys):
    Store.open(f"sqlite:///{tmp_path / 'clary.db'}", tmp_path / "secret.key").close()
    migrate(back="0003", data_dir=tmp_path)
    assert version(tmp_path / "clary.db") == "0003"
    assert "at version 0003" in capsys.readouterr().out


def test_a_version_that_never_was_is_refused_and_changes_nothing(tmp_path):
    Store.open(f"sqlite:///{tmp_path / 'clary.db'}", tmp_path / "secret.key").close()
    before = version(tmp_path / "clary.db")
    with pytest.raises(SetupError, match="0002x"):
        migrate(back="0002x", data_dir=tmp_path)
    assert version(tmp_path / "clary.db") == before


@pytest.mark.parametrize("given", [{}, {"to": "sqlite://", "back": "0003"}])
def test_it_goes_either_to_a_database_or_back_to_a_version(tmp_path, given):
    with pytest.raises(SetupError, match="--to URL"):
        migrate(data_dir=tmp_path, **given)
