"""Stores of earlier releases, as their own code wrote them, under this one: up, used, down, and up again."""

import contextlib
import json
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.upgrade.dump import ACCOUNT, BORN, REGION, TUNING

from clary.kernel.errors import SetupError
from clary.store import identities, listing, logs, migrations, records, runs, work
from clary.store.database import Store
from clary.store.listing import Condition, Query
from clary.testing import postgres

FOLDER = Path(__file__).parent
DUMPS = {each.stem.partition("_")[2]: json.loads(each.read_text()) for each in FOLDER.glob("schema_*.json")}


@pytest.fixture(scope="module")
def server():
    if why := postgres.missing():
        pytest.skip(why)
    with postgres.server() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request, tmp_path):
    """Return the URL of a database without a table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'clary.db'}"
    found = sa.make_url(request.getfixturevalue("server")).set(drivername="postgresql+psycopg")
    with connected(found) as conn:
        conn.execute(sa.text("DROP SCHEMA public CASCADE"))
        conn.execute(sa.text("CREATE SCHEMA public"))
    return found.set(drivername="postgresql").render_as_string(hide_password=False)


@contextlib.contextmanager
def connected(url):
    address = sa.make_url(url)
    if address.get_backend_name() == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    engine = sa.create_engine(address)
    with engine.begin() as conn:
        yield conn
    engine.dispose()


def restored(url, version, tmp_path):
    """Make the tables of a version, and fill them with what its release wrote; return the key's path."""
    dump = DUMPS[version]
    with connected(url) as conn:
        migrations.upgrade(conn, version)
        assert migrations.current(conn) == version
        found = sa.MetaData()
        found.reflect(conn)
        for name, rows in dump["tables"].items():
            if rows:
                conn.execute(sa.insert(found.tables[name]), rows)
    key = tmp_path / "secret.key"
    key.write_text(dump["key"])
    return key


def contents(url, version):
    """Return the rows of the tables that a version has, by table."""
    with connected(url) as conn:
        found = sa.MetaData()
        found.reflect(conn)
        return {
            name: sorted(
                (dict(row) for row in conn.execute(sa.select(found.tables[name])).mappings()), key=str
            )
            for name in DUMPS[version]["tables"]
        }


@pytest.mark.parametrize("version", sorted(DUMPS))
def test_a_store_of_an_earlier_release_is_read_and_driven_by_this_one(url, version, tmp_path):
    key = restored(url, version, tmp_path)
    with Store.open(url, key) as store:
        assert store.read(migrations.current) == migrations.HEAD
        keys = [store.read(identities.find, each) for each in ("AKIATEAM", "ASIAJOB")]
        assert [(each.secret, each.session_token) for each in keys if each] == [
            ("hidden", None),
            ("short", "session"),
        ]
        job = store.read(records.find, ACCOUNT, REGION, "TrainingJob", "job-1")
        assert job is not None
        assert (job.status, job.document["eta"], job.private) == ("Failed", 0.1, {"n": 1})
        filed = Query(ACCOUNT, REGION, "TrainingJob", (Condition("TuningJobArn", "eq", TUNING),))
        assert [each.key for each in store.read(listing.page, filed).records] == ["job-2", "job-1", "job-0"]
        later = BORN + timedelta(hours=2)
        claimed = store.write(work.claim, later, "me", 9, 30.0)
        assert [each.memory for each in claimed] == [{"attempt": 2}, {"attempt": 3}, {"attempt": 1}]
        assert {each.node for each in claimed} == {""}
        run = store.read(runs.find_run, "run-0")
        assert run is not None
        assert store.read(runs.hosts, "run-0")["algo-1"].seq == 7
        assert not store.write(runs.report, run, "algo-1", 7, "Training", None, None)
        group = "/aws/sagemaker/TrainingJobs"
        lines = store.read(
            logs.events, ACCOUNT, REGION, group, "job-0/algo-1", start_ms=None, end_ms=None, after=None,
            limit=9, forward=True,
        )  # fmt: skip
        assert [each.message for each in lines] == ["line"]


@pytest.mark.parametrize("version", sorted(DUMPS))
def test_tables_go_down_again_with_every_row_that_the_earlier_release_knew(url, version, tmp_path):
    key = restored(url, version, tmp_path)
    before = contents(url, version)
    Store.open(url, key).close()
    with connected(url) as conn:
        migrations.downgrade(conn, version)
        assert migrations.current(conn) == version
    after = contents(url, version)
    proof = [each for each in after["setting"] if each["name"] != "key_proof"]
    assert {**after, "setting": proof} == {
        **before,
        "setting": [each for each in before["setting"] if each["name"] != "key_proof"],
    }
    with Store.open(url, key) as store:
        assert store.read(migrations.current) == migrations.HEAD


def test_there_is_no_way_down_to_a_version_above_or_to_none(url, tmp_path):
    with connected(url) as conn:
        migrations.upgrade(conn, "0001")
    with pytest.raises(SetupError, match="at version 0001"), connected(url) as conn:
        migrations.downgrade(conn, "0003")
