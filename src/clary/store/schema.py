"""The tables, as SQLAlchemy Core; `migrations` makes them.

    record ── tag            resources and their tags, joined by ARN
    work                     machines: what is due, and who holds it
    node                     data folders that control planes run on, where several share a database
    run ── run_host          executions, and what each host reported
    log_group ── log_stream ── log_event
    metric_series ── metric_point
    facet                    values by which records are looked up
    trial_series ── trial_point    what runs logged
    account ── credential    who may sign
    setting                  facts about this database itself

On SQLite `record_name` is an FTS5 trigram index over `record.key`, kept by triggers.
"""

import hashlib

import sqlalchemy as sa

METADATA = sa.MetaData()

Name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text that orders by code point."""
Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""Row number that the database gives."""
Json = sa.JSON(none_as_null=True)


def scope_of(account: str, region: str, noun: str) -> int:
    """Return the number that stands for (account, region, noun) in indexes: 63 bits of their hash.

    One integer in front of every index instead of three texts halves them.
    """
    digest = hashlib.blake2b("\n".join((account, region, noun)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


record = sa.Table(
    "record",
    METADATA,
    sa.Column("id", Id, primary_key=True),
    sa.Column("scope", sa.BigInteger, nullable=False),
    sa.Column("account", Name, nullable=False),
    sa.Column("region", Name, nullable=False),
    sa.Column("noun", Name, nullable=False),
    sa.Column("key", Name, nullable=False),
    sa.Column("arn", Name, nullable=False),
    sa.Column("status", Name, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("modified", sa.BigInteger, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("document", Json, nullable=False),
    sa.Column("private", Json, nullable=False),
    # Each sort order has an index that also holds the other filter columns: a scan never opens a row in vain.
    sa.Index("record_identity", "scope", "key", unique=True),
    sa.Index(
        "record_arn",
        "arn",
        unique=True,
        sqlite_where=sa.text("arn <> ''"),
        postgresql_where=sa.text("arn <> ''"),
    ),
    sa.Index("record_by_key", "scope", "key", "created", "modified", "status"),
    sa.Index("record_by_created", "scope", "created", "key", "modified", "status"),
    sa.Index("record_by_modified", "scope", "modified", "key", "created", "status"),
    sa.Index("record_by_status", "scope", "status", "created", "key", "modified"),
    sa.Index("record_by_status_and_key", "scope", "status", "key", "created", "modified"),
)

tag = sa.Table(
    "tag",
    METADATA,
    sa.Column("arn", Name, primary_key=True),
    sa.Column("key", Name, primary_key=True),
    sa.Column("value", Name, nullable=False),
    sqlite_with_rowid=False,
)

work = sa.Table(
    "work",
    METADATA,
    sa.Column("arn", Name, primary_key=True),
    sa.Column("noun", Name, nullable=False),
    sa.Column("state", Name, nullable=False),
    sa.Column("due", sa.BigInteger, nullable=False),
    sa.Column("ready", sa.BigInteger, nullable=False),
    sa.Column("woken", sa.BigInteger),
    sa.Column("lease_token", Name),
    sa.Column("lease_owner", Name),
    sa.Column("lease_until", sa.BigInteger),
    sa.Column("memory", Json, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("node", Name, nullable=False, server_default=sa.text("''")),
    sa.Index("work_by_ready", "ready"),
    sa.Index("work_by_node", "node", "ready"),
)

node = sa.Table(
    "node",
    METADATA,
    sa.Column("node_id", Name, primary_key=True),
    sa.Column("life", Name, nullable=False),
    sa.Column("beat", sa.BigInteger, nullable=False),
    sa.Column("document", Json, nullable=False),
)

run = sa.Table(
    "run",
    METADATA,
    sa.Column("run_id", Name, primary_key=True),
    sa.Column("arn", Name, nullable=False),
    sa.Column("token_digest", Name, nullable=False),
    sa.Column("credentials_digest", Name, nullable=False),
    sa.Column("document", Json, nullable=False),
    sa.Index("run_by_arn", "arn"),
)

run_host = sa.Table(
    "run_host",
    METADATA,
    sa.Column("run_id", Name, primary_key=True),
    sa.Column("host", Name, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("phase", Name),
    sa.Column("address", Name),
    sa.Column("result", Json),
)

log_group = sa.Table(
    "log_group",
    METADATA,
    sa.Column("id", Id, primary_key=True),
    sa.Column("account", Name, nullable=False),
    sa.Column("region", Name, nullable=False),
    sa.Column("name", Name, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Index("log_group_identity", "account", "region", "name", unique=True),
)

log_stream = sa.Table(
    "log_stream",
    METADATA,
    sa.Column("id", Id, primary_key=True),
    sa.Column("group_id", sa.BigInteger, nullable=False),
    sa.Column("name", Name, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("first_ms", sa.BigInteger, nullable=False),
    sa.Column("last_ms", sa.BigInteger, nullable=False),
    sa.Column("ingested_ms", sa.BigInteger, nullable=False),
    sa.Index("log_stream_identity", "group_id", "name", unique=True),
    sa.Index("log_stream_by_last", "group_id", "last_ms", "name"),
)

log_event = sa.Table(
    "log_event",
    METADATA,
    sa.Column("id", Id, primary_key=True),
    sa.Column("group_id", sa.BigInteger, nullable=False),
    sa.Column("stream_id", sa.BigInteger, nullable=False),
    sa.Column("ms", sa.BigInteger, nullable=False),
    sa.Column("ingested_ms", sa.BigInteger, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Index("log_event_by_stream", "stream_id", "id", "ms"),
    sa.Index("log_event_by_group", "group_id", "id", "ms", "stream_id"),
    sqlite_autoincrement=True,
)

metric_series = sa.Table(
    "metric_series",
    METADATA,
    sa.Column("id", Id, primary_key=True),
    sa.Column("account", Name, nullable=False),
    sa.Column("region", Name, nullable=False),
    sa.Column("namespace", Name, nullable=False),
    sa.Column("name", Name, nullable=False),
    sa.Column("dimensions", Name, nullable=False),
    sa.Index("metric_series_identity", "account", "region", "namespace", "name", "dimensions", unique=True),
    sa.Index("metric_series_by_dimensions", "account", "region", "dimensions"),
)

metric_point = sa.Table(
    "metric_point",
    METADATA,
    sa.Column("id", Id, primary_key=True),
    sa.Column("series_id", sa.BigInteger, nullable=False),
    sa.Column("ms", sa.BigInteger, nullable=False),
    sa.Column("value", sa.Double, nullable=False),
    sa.Column("unit", Name, nullable=False),
    sa.Column("n", sa.Double, nullable=False, server_default=sa.text("1")),
    sa.Index("metric_point_by_time", "series_id", "ms", "id"),
)

facet = sa.Table(
    "facet",
    METADATA,
    sa.Column("code", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("key", Name, primary_key=True),
    sa.Column("scope", sa.BigInteger, nullable=False),
    sa.Index("facet_by_record", "scope", "key"),
    sqlite_with_rowid=False,
)

trial_series = sa.Table(
    "trial_series",
    METADATA,
    sa.Column("id", Id, primary_key=True),
    sa.Column("arn", Name, nullable=False),
    sa.Column("name", Name, nullable=False),
    sa.Index("trial_series_identity", "arn", "name", unique=True),
)

trial_point = sa.Table(
    "trial_point",
    METADATA,
    sa.Column("id", Id, primary_key=True),
    sa.Column("series_id", sa.BigInteger, nullable=False),
    sa.Column("ms", sa.BigInteger, nullable=False),
    sa.Column("step", sa.BigInteger),
    sa.Column("value", sa.Double),
    sa.Index("trial_point_by_series", "series_id", "id"),
)

account = sa.Table(
    "account",
    METADATA,
    sa.Column("account_id", Name, primary_key=True),
    sa.Column("name", Name, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Index("account_name", "name", unique=True),
)

credential = sa.Table(
    "credential",
    METADATA,
    sa.Column("access_key_id", Name, primary_key=True),
    sa.Column("secret", Name, nullable=False),
    sa.Column("account", Name, nullable=False),
    sa.Column("principal", Name, nullable=False),
    sa.Column("session_token", Name),
    sa.Column("expires", sa.BigInteger),
    sa.Index("credential_by_principal", "account", "principal"),
    sa.Index("credential_by_expiry", "expires"),
)

setting = sa.Table(
    "setting",
    METADATA,
    sa.Column("name", Name, primary_key=True),
    sa.Column("value", Name, nullable=False),
)
