"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.exc import DBAPIError

revision = "0001"
down_revision = None

# Frozen here, never imported from `schema`: a migration describes the tables as they were in its day.
NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BIG = sa.BigInteger()

NAMED = "arn <> ''"


def upgrade() -> None:
    """Make them."""
    _resources()
    _machines()
    _logs()
    _metrics()
    _identities()
    if op.get_bind().dialect.name == "sqlite":
        _trigrams_of_sqlite()
    else:
        _trigrams_of_postgresql()


def _name(name: str, *, key: bool = False, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, NAME, primary_key=key, nullable=null and not key)


def _number(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, BIG, nullable=null)


def _id() -> sa.Column[int]:
    return sa.Column("id", ID, primary_key=True)


def _resources() -> None:
    op.create_table(
        "record",
        _id(),
        _number("scope"),
        _name("account"),
        _name("region"),
        _name("noun"),
        _name("key"),
        _name("arn"),
        _name("status"),
        _number("created"),
        _number("modified"),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("document", sa.JSON, nullable=False),
        sa.Column("private", sa.JSON, nullable=False),
    )
    op.create_index("record_identity", "record", ["scope", "key"], unique=True)
    op.create_index(
        "record_arn",
        "record",
        ["arn"],
        unique=True,
        sqlite_where=sa.text(NAMED),
        postgresql_where=sa.text(NAMED),
    )
    op.create_index("record_by_key", "record", ["scope", "key", "created", "modified", "status"])
    op.create_index("record_by_created", "record", ["scope", "created", "key", "modified", "status"])
    op.create_index("record_by_modified", "record", ["scope", "modified", "key", "created", "status"])
    op.create_index("record_by_status", "record", ["scope", "status", "created", "key", "modified"])
    op.create_index("record_by_status_and_key", "record", ["scope", "status", "key", "created", "modified"])
    op.create_table(
        "tag", _name("arn", key=True), _name("key", key=True), _name("value"), sqlite_with_rowid=False
    )


def _machines() -> None:
    op.create_table(
        "work",
        _name("arn", key=True),
        _name("noun"),
        _name("state"),
        _number("due"),
        _number("ready"),
        _number("woken", null=True),
        _name("lease_token", null=True),
        _name("lease_owner", null=True),
        _number("lease_until", null=True),
        sa.Column("memory", sa.JSON, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_index("work_by_ready", "work", ["ready"])
    op.create_table(
        "run",
        _name("run_id", key=True),
        _name("arn"),
        _name("token_digest"),
        _name("credentials_digest"),
        sa.Column("document", sa.JSON, nullable=False),
    )
    op.create_index("run_by_arn", "run", ["arn"])
    op.create_table(
        "run_host",
        _name("run_id", key=True),
        _name("host", key=True),
        _number("seq"),
        _name("phase", null=True),
        _name("address", null=True),
        sa.Column("result", sa.JSON),
    )


def _logs() -> None:
    op.create_table(
        "log_group", _id(), _name("account"), _name("region"), _name("name"), _number("created_ms")
    )
    op.create_index("log_group_identity", "log_group", ["account", "region", "name"], unique=True)
    op.create_table(
        "log_stream",
        _id(),
        _number("group_id"),
        _name("name"),
        _number("created_ms"),
        _number("first_ms"),
        _number("last_ms"),
        _number("ingested_ms"),
    )
    op.create_index("log_stream_identity", "log_stream", ["group_id", "name"], unique=True)
    op.create_index("log_stream_by_last", "log_stream", ["group_id", "last_ms", "name"])
    op.create_table(
        "log_event",
        _id(),
        _number("group_id"),
        _number("stream_id"),
        _number("ms"),
        _number("ingested_ms"),
        sa.Column("text", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("log_event_by_stream", "log_event", ["stream_id", "id", "ms"])
    op.create_index("log_event_by_group", "log_event", ["group_id", "id", "ms", "stream_id"])


def _metrics() -> None:
    op.create_table(
        "metric_series",
        _id(),
        _name("account"),
        _name("region"),
        _name("namespace"),
        _name("name"),
        _name("dimensions"),
    )
    identity = ["account", "region", "namespace", "name", "dimensions"]
    op.create_index("metric_series_identity", "metric_series", identity, unique=True)
    op.create_index("metric_series_by_dimensions", "metric_series", ["account", "region", "dimensions"])
    op.create_table(
        "metric_point",
        _id(),
        _number("series_id"),
        _number("ms"),
        sa.Column("value", sa.Double, nullable=False),
        _name("unit"),
    )
    op.create_index("metric_point_by_time", "metric_point", ["series_id", "ms", "id"])


def _identities() -> None:
    op.create_table("account", _name("account_id", key=True), _name("name"), _number("created"))
    op.create_index("account_name", "account", ["name"], unique=True)
    op.create_table(
        "credential",
        _name("access_key_id", key=True),
        _name("secret"),
        _name("account"),
        _name("principal"),
        _name("session_token", null=True),
        _number("expires", null=True),
    )
    op.create_index("credential_by_principal", "credential", ["account", "principal"])
    op.create_index("credential_by_expiry", "credential", ["expires"])
    op.create_table("setting", _name("name", key=True), _name("value"))


def _trigrams_of_sqlite() -> None:
    # `code` is three characters of the scope: one trigram, by which a search passes over other accounts.
    op.execute(
        "CREATE VIRTUAL TABLE record_name USING "
        "fts5(key, code, content='', columnsize=0, tokenize='trigram case_sensitive 1')"
    )
    added = "(rowid, key, code) VALUES (new.id, new.key, printf('%03x', new.scope & 4095))"
    taken = (
        "(record_name, rowid, key, code) VALUES ('delete', old.id, old.key, printf('%03x', old.scope & 4095))"
    )
    op.execute(
        f"CREATE TRIGGER record_name_add AFTER INSERT ON record BEGIN INSERT INTO record_name {added}; END"
    )
    op.execute(
        f"CREATE TRIGGER record_name_drop AFTER DELETE ON record BEGIN INSERT INTO record_name {taken}; END"
    )
    op.execute(
        "CREATE TRIGGER record_name_change AFTER UPDATE OF key, scope ON record BEGIN "
        f"INSERT INTO record_name {taken}; INSERT INTO record_name {added}; END"
    )


def _trigrams_of_postgresql() -> None:
    conn = op.get_bind()
    try:
        with conn.begin_nested():
            conn.execute(sa.text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
            conn.execute(sa.text("CREATE INDEX record_name ON record USING gin (key gin_trgm_ops)"))
    except DBAPIError:
        return  # not installed, or not ours to install: NameContains then scans
